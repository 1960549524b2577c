"use strict";
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const OUTCOMES = ["succeeded", "failed", "exhausted", "in_doubt", "pending"];
  const NAMES = ["succeeded", "failed", "exhausted", "in doubt", "pending"];
  const TOP = 18, PLOT = 112, COLUMNS = 120, POINTS_MAX = 480;
  const SAY_EVERY_MS = 20000, SILENT_MS = 12000, AGAIN_MS = 5000;
  const TITLE = document.title;
  const $ = (id) => document.getElementById(id);

  // --- Words ---------------------------------------------------------------------------------
  const count = (n) => Math.round(n).toLocaleString("en-US");
  const digits = (n) => (n >= 100 ? count(n) : String(+n.toPrecision(3)));
  const rate = (perS) => {
    for (const [factor, unit] of [[1, "s"], [60, "min"], [3600, "h"]])
      if (perS * factor >= 1) return `${digits(perS * factor)}/${unit}`;
    return perS ? `${digits(perS * 86400)}/d` : "0/s";
  };
  const duration = (seconds) => {
    let rest = Math.max(0, Math.round(seconds));
    const told = [];
    for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]]) {
      const amount = Math.floor(rest / size);
      rest -= amount * size;
      if (amount || told.length) told.push([amount, unit]);
      if (told.length === 2) break;
    }
    return told.filter(([n]) => n).map(([n, unit]) => `${n} ${unit}`).join(" ") || "0 s";
  };
  const clock = (at, withDay) => {
    const text = new Date(at * 1000).toISOString();
    return (withDay ? `${text.slice(5, 10)} ` : "") + text.slice(11, 19);
  };
  const ended = (f) => f.succeeded + f.failed + f.exhausted + f.in_doubt;
  const niceTop = (largest) => {
    if (!(largest > 0)) return 1;
    const power = 10 ** Math.floor(Math.log10(largest));
    return power * [1, 2, 5, 10, 20].find((n) => power * n >= largest * 0.9999);
  };

  // --- Elements ------------------------------------------------------------------------------
  const put = (node, text) => { if (node.textContent !== text) node.textContent = text; };
  const set = (node, values) => {
    for (const [key, value] of Object.entries(values))
      if (node.getAttribute(key) !== String(value)) node.setAttribute(key, value);
    return node;
  };
  const shape = (name, values, text) => {
    const node = set(document.createElementNS(SVG, name), values);
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const make = (name, text, cls) => {
    const node = document.createElement(name);
    if (text !== undefined) node.textContent = text;
    if (cls) node.className = cls;
    return node;
  };
  const drawn = new WeakMap(); // so that what has not changed stays, selections and all
  const fill = (node, value, children) => {
    const key = JSON.stringify(value);
    if (drawn.get(node) === key) return;
    drawn.set(node, key);
    node.replaceChildren(...children(value));
  };

  // --- What is said aloud, seldom ------------------------------------------------------------
  let saidAt = -Infinity;
  const say = (text, isUrgent) => {
    if (!isUrgent && performance.now() - saidAt < SAY_EVERY_MS) return;
    saidAt = performance.now();
    put($("said"), text);
  };

  // --- Charts --------------------------------------------------------------------------------
  const chart = (id) => {
    const svg = $(id), inner = shape("svg", {
      x: 0, y: TOP, width: "100%", height: PLOT, viewBox: "0 0 1000 1000", preserveAspectRatio: "none",
    });
    const y = (share) => TOP + PLOT * (1 - share);
    const name = shape("title", {}), about = shape("desc", {});
    const grid = [0, 0.5, 1].map((s) => shape("line", { x1: 0, x2: "100%", y1: y(s), y2: y(s), class: "grid" }));
    const marks = [0.5, 1].map((s) => shape("text", { x: 0, y: y(s) - 4, class: "tick" }, ""));
    const limit = shape("line", { x1: 0, x2: "100%", class: "limit" });
    const label = shape("text", { x: "100%", "text-anchor": "end", class: "tick limit-label" }, "");
    const times = [["0%", "start"], ["50%", "middle"], ["100%", "end"]].map(([x, anchor]) =>
      shape("text", { x, y: TOP + PLOT + 16, "text-anchor": anchor, class: "tick" }, ""));
    const gaps = shape("g", {});
    svg.replaceChildren(name, about, ...grid, gaps, inner, ...marks, limit, label, ...times);
    const paths = {};
    const path = (cls, d) => {
      if (!paths[cls]) inner.append((paths[cls] = shape("path", { class: cls })));
      set(paths[cls], { d });
    };
    const scale = (top, told, line, lineText) => {
      put(marks[0], told(top / 2));
      put(marks[1], told(top));
      const isShown = line > 0 && line <= top;
      for (const node of [limit, label]) node.style.display = isShown ? "" : "none";
      if (!isShown) return;
      set(limit, { y1: y(line / top), y2: y(line / top) });
      set(label, { y: y(line / top) - 4 });
      put(label, lineText);
    };
    const axis = (texts, found) => {
      times.forEach((node, n) => put(node, texts[n]));
      fill(gaps, found, (all) => all.flatMap(([share, text]) => [
        shape("line", { x1: `${share * 100}%`, x2: `${share * 100}%`, y1: 12, y2: TOP + PLOT, class: "gap" }),
        shape("text", { x: `${share * 100}%`, y: 10, "text-anchor": "middle", class: "tick" }, text),
      ]));
    };
    const tell = (title, text) => { put(name, title); put(about, text); };
    return { path, scale, axis, tell };
  };
  const steps = (columns, value, x, top, isArea) => {
    let d = "", last = null;
    for (const column of columns) {
      const h = (1000 * (1 - Math.min(1, value(column) / top))).toFixed(1);
      const from = x(column.from).toFixed(1), to = x(column.to).toFixed(1);
      d += last === null ? (isArea ? `M${from} 1000V${h}` : `M${from} ${h}`) : `V${h}`;
      d += `H${to}`;
      last = to;
    }
    return d + (isArea && d ? "V1000Z" : "");
  };
  // A point: [x, submits, results, in flight, answers 429, a lane is closed, epoch seconds, gap].
  const columnsOf = (points, size) => {
    const found = [];
    for (let n = 0; n + 1 < points.length; n += size) {
      const some = points.slice(n, n + size + 1), a = some[0], b = some[some.length - 1];
      const seconds = Math.max(b[0] - a[0], 0.001), inside = some.slice(1);
      found.push({
        from: a[0], to: b[0], at: b[6],
        submits: Math.max(0, b[1] - a[1]) / seconds,
        results: Math.max(0, b[2] - a[2]) / seconds,
        flight: Math.max(...inside.map((p) => p[3])),
        throttled: b[4] > a[4],
        closed: inside.some((p) => p[5]),
        gap: inside.map((p) => p[7]).find(Boolean),
      });
    }
    return found;
  };
  const throughput = chart("c-throughput"), flight = chart("c-flight");
  const draw = (frame, all, shown) => {
    if (!all.length) return;
    const first = all[0].from, width = Math.max(all[all.length - 1].to - first, 0.001);
    const x = (at) => (1000 * (at - first)) / width;
    const submit = frame.lanes.find((lane) => lane.name === "submit") || {};
    const largest = (key) => all.reduce((most, column) => Math.max(most, column[key]), 0);
    let most = Math.max(largest("submits"), largest("results"));
    if (most >= 0.6 * submit.limit_per_s) most = Math.max(most, submit.limit_per_s);
    const top = niceTop(most);
    throughput.path("closed", shown.filter((c) => c.closed)
      .map((c) => `M${x(c.from)} 0H${x(c.to)}V1000H${x(c.from)}Z`).join(""));
    throughput.path("area s-succeeded", steps(shown, (c) => c.results, x, top, true));
    throughput.path("line s-submitted", steps(shown, (c) => c.submits, x, top, false));
    throughput.path("ticks429", shown.filter((c) => c.throttled)
      .map((c) => `M${((x(c.from) + x(c.to)) / 2).toFixed(1)} 1000V910`).join(""));
    throughput.scale(top, rate, submit.limit_per_s || 0, `limit ${submit.limit || ""}`);
    throughput.tell("Submits and results a second",
      `at most ${rate(largest("submits"))} submits and ${rate(largest("results"))} results`);
    $("closed").hidden = !all.some((c) => c.closed);
    let high = largest("flight");
    if (high >= 0.6 * frame.in_flight_max) high = Math.max(high, frame.in_flight_max);
    const flightTop = niceTop(Math.max(high, 1));
    flight.path("area s-flight", steps(shown, (c) => c.flight, x, flightTop, true));
    flight.scale(flightTop, digits, frame.in_flight_max, `--in-flight ${count(frame.in_flight_max)}`);
    flight.tell("Rows in flight", `at most ${count(largest("flight"))}`);
    const withDay = all[all.length - 1].at - all[0].at > 43200;
    const times = [0, 0.5, 1].map((s) => clock(all[Math.round(s * (all.length - 1))].at, withDay));
    const gaps = all.filter((c) => c.gap).map((c) => [x(c.from) / 1000, c.gap]);
    for (const one of [throughput, flight]) one.axis(times, gaps);
  };

  // --- One frame -----------------------------------------------------------------------------
  let examples = {}, known = new Set(), binding = null;
  const showWhole = (frame) => {
    const rest = Math.max(frame.pending, (frame.rows || 0) - ended(frame)); // not all are read yet
    const parts = OUTCOMES.map((name) => (name === "pending" ? rest : frame[name]));
    const total = parts.reduce((a, b) => a + b, 0) || 1;
    const widths = parts.map((n) => (n ? Math.max(n / total, 0.012) : 0));
    const sum = widths.reduce((a, b) => a + b, 0) || 1;
    const said = NAMES.map((name, n) => `${name} ${count(parts[n])}`).join(", ");
    let at = 0;
    fill($("whole"), widths.concat(said), () => [shape("title", {}, `Rows: ${said}`), ...widths.map((width, n) => {
      const values = { x: `${at}%`, y: 0, width: `${(100 * width) / sum}%`, height: "100%", class: `fill s-${OUTCOMES[n]}` };
      at += (100 * width) / sum;
      return shape("rect", values);
    })]);
    OUTCOMES.forEach((name, n) => put($(`n-${name}`), count(parts[n])));
  };
  const showLanes = (lanes) => {
    $("s-lanes").hidden = state === "replay" || !lanes.some((lane) => lane.started);
    fill($("t-lanes"), lanes.filter((lane) => lane.started), (some) => some.map((lane) => {
      const row = make("tr"), name = make("th", lane.name);
      name.scope = "row";
      const used = lane.used === null || lane.used === undefined ? "" : `${Math.round(100 * lane.used)} %`;
      const cells = [rate(lane.per_s), lane.limit || "none", used || "–",
        lane.open === undefined ? "–" : count(lane.open), lane.waiting === undefined ? "–" : count(lane.waiting)];
      row.append(name, ...cells.map((text) => make("td", text, "number")), make("td", lane.closed || "", "warning"));
      return row;
    }));
  };
  const showErrors = (frame) => {
    $("no-errors").hidden = frame.errors.length > 0;
    $("w-errors").hidden = !frame.errors.length;
    fill($("t-errors"), frame.errors.map(([kind, n]) => [kind, n, examples[kind] || ["", ""]]), (all) =>
      all.map(([kind, n, [meaning, example]]) => {
        const row = make("tr"), name = make("th"), what = make("td", example);
        name.scope = "row";
        name.append(make("code", kind), make("small", meaning));
        row.append(name, make("td", count(n), "number"), what);
        return row;
      }));
    const more = (frame.kinds || 0) - frame.errors.length;
    put($("more-errors"), more > 0 ? `and ${more} more kinds` : "");
    const news = frame.errors.map(([kind]) => kind).filter((kind) => !known.has(kind));
    for (const kind of news) known.add(kind);
    if (news.length) say(`New kind of error: ${news.join(", ")}`);
  };
  const showNumbers = (frame, results) => {
    put($("v-elapsed"), duration(frame.elapsed_s));
    put($("v-speed"), results === null ? "–" : rate(results));
    const places = [count(frame.in_flight), `of ${count(frame.in_flight_max)}`];
    fill($("v-flight"), places, () => [places[0], make("small", places[1])]);
    put($("v-submits"), frame.submits === null ? "–" : count(frame.submits));
    put($("v-throttled"), count(frame.throttled));
    const [money, ...rest] = (frame.cost || "").replace("charged ", "").split(", ");
    fill($("v-cost"), [money, rest], () => [money || "–", ...(rest.length ? [make("small", rest.join(", "))] : [])]);
    $("v-cost").parentElement.hidden = !frame.cost;
  };
  const judge = (tone, word, sentence, why) => {
    $("verdict").className = `verdict ${tone}`;
    put($("word"), word);
    put($("sentence"), sentence);
    put($("why"), why);
  };
  const sentenceOf = (frame) => frame.rows === null || frame.rows === undefined
    ? `${count(ended(frame))} rows have ended; the manifest is still being read.`
    : `${count(ended(frame))} of ${count(frame.rows)} rows have ended.`;
  const show = (frame, columns, shown, isOver) => {
    Object.assign(examples, frame.examples);
    const last = isOver ? shown : shown.slice(-5); // lately, or in all
    const seconds = last.reduce((sum, c) => sum + c.to - c.from, 0);
    const results = seconds ? last.reduce((sum, c) => sum + c.results * (c.to - c.from), 0) / seconds : null;
    showWhole(frame);
    showNumbers(frame, results);
    showLanes(frame.lanes);
    showErrors(frame);
    draw(frame, columns, shown);
    const share = frame.rows ? `${Math.floor((100 * ended(frame)) / frame.rows)} % · ` : "";
    document.title = share + TITLE;
  };
  const showEnd = (end) => {
    judge(end.tone, end.word, end.sentence, end.reasons.join(" "));
    fill($("commands"), end.commands, (all) => all.map((text) => {
      const item = make("li");
      item.append(make("code", text));
      return item;
    }));
  };
  const offer = (links) => fill($("links"), links, (all) => all.flatMap(([text, href], n) => {
    const link = make("a", text);
    link.href = href;
    return n ? [" · ", link] : [link];
  }));
  const link = (text, cls) => {
    put($("link"), text);
    $("link").className = `link ${cls}`;
    document.body.classList.toggle("stale", cls === "lost");
    if (cls === "lost") put($("word"), "Last seen running");
  };

  // --- Live ----------------------------------------------------------------------------------
  let state = "", points = [], newsAt = 0, report = null;
  const note = (frame) => {
    const before = points[points.length - 1];
    if (before && frame.at <= before[0]) return;
    const submits = frame.submits === null ? (before ? before[1] : 0) : frame.submits;
    const isClosed = frame.lanes.some((lane) => lane.closed);
    points.push([frame.at, submits, frame.succeeded, frame.in_flight, frame.throttled, isClosed, frame.at]);
    if (points.length > POINTS_MAX) points = points.filter((_, n) => n % 2 === 0);
  };
  const live = (frame, isOver) => {
    note(frame);
    const columns = columnsOf(points, Math.max(1, Math.ceil((points.length - 1) / COLUMNS)));
    show(frame, columns, columns, isOver);
    const why = frame.stopping ? `Stopping: ${frame.stopping}` : [
      frame.left ? `Left: ${frame.left}.` : "", frame.binding ? `Held back by: ${frame.binding}.` : "",
    ].filter(Boolean).join(" ");
    judge("going", frame.stopping ? "Stopping" : "Running", sentenceOf(frame), why);
    const held = frame.stopping || (frame.binding || "").replace(/ [(\d].*/, "");
    if (held !== binding) {
      binding = held;
      say(`${sentenceOf(frame)} ${why}`, Boolean(frame.stopping));
    }
  };
  const goLive = (hello) => {
    stop();
    $("player").hidden = true;
    $("commands").replaceChildren();
    drawn.delete($("commands"));
    points = hello.past.map((point) => [...point, point[0]]);
    state = "live";
    link("Live", "live");
    offer(report ? [["The report so far", report]] : []);
    if (hello.frame) live(hello.frame);
  };

  // --- Replay --------------------------------------------------------------------------------
  let frames = [], all = [], end = null, place = 0, seconds = 30, size = 1, timer = null, then = 0;
  const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const at = (n) => {
    place = Math.min(frames.length - 1, Math.max(0, n));
    const frame = frames[Math.floor(place)], isLast = Math.floor(place) === frames.length - 1;
    const shown = isLast ? all : all.slice(0, Math.ceil((Math.floor(place) + 1) / size));
    show(frame, all, shown, isLast);
    const moment = frame.at ? `${clock(frame.at, true)} UTC` : "the end";
    $("scrub").value = String(Math.floor(place));
    $("scrub").setAttribute("aria-valuetext", `${moment}, ${sentenceOf(frame)}`);
    put($("moment"), moment);
    if (isLast && end) showEnd(end);
    else judge("going", "Replay", sentenceOf(frame), "");
    $("commands").hidden = !isLast;
  };
  const stop = () => {
    if (timer !== null) cancelAnimationFrame(timer);
    timer = null;
    put($("play"), "Play");
  };
  const tick = (now) => {
    at(place + ((now - then) / 1000) * (frames.length / seconds));
    then = now;
    if (place >= frames.length - 1) {
      stop();
      say(end ? end.sentence : "The end.", true);
    } else timer = requestAnimationFrame(tick);
  };
  const play = () => {
    if (timer !== null) { stop(); return; }
    if (place >= frames.length - 1) place = 0;
    then = performance.now();
    put($("play"), "Pause");
    timer = requestAnimationFrame(tick);
  };
  $("play").addEventListener("click", play);
  $("scrub").addEventListener("input", () => { stop(); at(Number($("scrub").value)); });
  addEventListener("keydown", (event) => {
    const isFree = event.target === document.body && !event.ctrlKey && !event.metaKey && !event.altKey;
    if (state === "replay" && isFree && event.key === " ") { event.preventDefault(); play(); }
  });
  const goReplay = (hello) => {
    stop();
    ({ frames, end, seconds } = hello);
    examples = hello.examples;
    known = new Set(Object.keys(examples));
    const past = frames.map((f) => [f.x || 0, f.submits, f.succeeded, f.in_flight, f.throttled, false, f.at, f.gap]);
    if (frames[0].x) past.unshift([0, 0, 0, 0, 0, false, frames[0].at]);
    size = Math.max(1, Math.ceil((past.length - 1) / COLUMNS));
    all = columnsOf(past, size);
    state = "replay";
    const factor = frames[frames.length - 1].x / seconds;
    link(factor > 2 ? `Replay, ${digits(Math.round(factor))} times as fast` : "Replay", "");
    offer(report ? [["The report", report]] : []);
    $("player").hidden = frames.length < 2;
    $("scrub").max = String(frames.length - 1);
    if (isCalm || frames.length < 2 || location.hash === "#end") at(frames.length - 1);
    else { at(0); play(); }
  };

  // --- News ----------------------------------------------------------------------------------
  let source = null;
  const hear = (kind, act) => source.addEventListener(kind, (event) => {
    newsAt = performance.now();
    act(JSON.parse(event.data));
  });
  const connect = () => {
    source = new EventSource("events");
    hear("hello", (hello) => {
      report = hello.report;
      if (hello.mode === "replay") goReplay(hello);
      else goLive(hello);
    });
    hear("frame", (frame) => {
      if (state !== "live") return;
      link("Live", "live");
      live(frame);
    });
    hear("end", (told) => {
      if (told.frame && state === "live") live(told.frame, true);
      state = "ended";
      showEnd(told.end);
      offer(report ? [["The report", report], ["Play it again", "./"]] : []);
      link("The run has ended.", "");
      say(`The run has ended. ${told.end.sentence}`, true);
    });
    source.onerror = () => {
      if (state !== "ended" && state !== "replay") link("The connection is lost; trying again …", "lost");
      if (source.readyState === EventSource.CLOSED) setTimeout(connect, AGAIN_MS);
    };
  };
  setInterval(() => {
    const silent = performance.now() - newsAt;
    if (state === "live" && silent > SILENT_MS && !$("link").classList.contains("lost"))
      link(`No news for ${duration(silent / 1000)}`, "lost");
  }, 4000);
  connect();
})();
