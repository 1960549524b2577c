"""Every setting of a run with the place that it comes from, and what is wrong with what is written.

Rule: the order of places is the one that `run` itself goes by, because click's own reading of
flags, variables and file is what is shown here.
"""

from __future__ import annotations

import difflib
import time
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import msgspec
from click.core import ParameterSource

from batcher.adapters.rundir import RunDirectory
from batcher.adapters.runfile import read_run_file
from batcher.cli.commands.run.dry_run import typed
from batcher.cli.flags.config_file import NAME, line_of, read_config, unknown_keys
from batcher.cli.flags.given import DEFAULTS
from batcher.cli.flags.table import FLAGS, Flag
from batcher.cli.flags.values import NONE
from batcher.cli.flags.wishes import NEAR, PREFIX, RUN_OPTIONS, resumed_settings
from batcher.core.errors import UsageError
from batcher.core.settings import Frozen
from batcher.providers import PROVIDERS

SECRET = ("notify",)
FLAGS_BY_NAME = {flag.parameter: flag for flag in FLAGS}
UNSET = {  # what stands for a value where none is given
    "rate": "the API's published limit, or ours",
    "status-rate": "the API's published limit",
    "base-url": "the provider's own",
    "run-dir": "runs/<manifest>-<provider>",
    "api-key-file": "none: from its variable",
    "fail-on": "any row that did not succeed",
    "variants": "all",
}
FROZEN = ("provider", "base_url", "set", "download", "run_dir", "workers")


@dataclass(frozen=True, slots=True)
class Line:
    """One setting. `origin` says for people where the value comes from."""

    name: str
    value: str
    origin: str

    def as_json(self) -> dict[str, str]:
        """Return the object of `--json`."""
        return {"name": self.name, "value": self.value, "origin": self.origin}


def lines_of(
    ctx: click.Context, flags: Mapping[str, Any], file: Path, environ: Mapping[str, str]
) -> list[Line]:
    """Return the settings of a run that is still to be started."""
    text = file.read_text("utf-8") if file.exists() else ""
    lines = [
        Line(_dashed(name), _shown(name, value, ctx), _origin(ctx, name, text))
        for name, value in flags.items()
    ]
    return [*sorted(lines, key=lambda line: line.name), *_keys(flags.get("provider"), environ)]


def run_lines(
    ctx: click.Context, flags: dict[str, Any], directory: RunDirectory, environ: Mapping[str, str]
) -> list[Line]:
    """Return the settings with which a run that exists goes on."""
    given = {name: value for name, value in flags.items() if _is_given_now(ctx, name)}
    wrong = next((name for name in FROZEN if name in given), None)
    if wrong is not None and ctx.get_parameter_source(wrong) is ParameterSource.COMMANDLINE:
        raise UsageError(f"--{_dashed(wrong)} belongs to the run and cannot change")

    frozen, stored = read_run_file(directory.run_file)
    now = resumed_settings(stored, {name: given.get(name) for name in flags}, time.time())
    lines = [*_frozen(frozen), *_of_this_process(ctx, flags)]
    for flag in FLAGS:
        value = getattr(now, flag.field)
        is_new = given.get(flag.parameter) is not None
        origin = _origin(ctx, flag.parameter, "") if is_new else directory.run_file.name
        lines.append(Line(flag.name[2:], _flag_value(flag, value), origin))

    return [*sorted(lines, key=lambda line: line.name), *_keys(frozen.provider, environ)]


def problems_of(command: click.Command, file: Path, environ: Mapping[str, str]) -> list[str]:
    """Return all that is wrong with a file and with variables, one line each."""
    return [*_file_problems(command, file), *_variable_problems(command, environ)]


# --- One setting ---------------------------------------------------------------------------------


def _origin(ctx: click.Context, name: str, text: str) -> str:
    match ctx.get_parameter_source(name):
        case ParameterSource.COMMANDLINE:
            return f"flag --{_dashed(name)}"
        case ParameterSource.ENVIRONMENT:
            return f"environment {PREFIX}_{name.upper()}"
        case ParameterSource.DEFAULT_MAP:
            line = line_of(text, name)
            return NAME if line is None else f"{NAME} line {line}"
        case _:
            return "default"


def _is_given_now(ctx: click.Context, name: str) -> bool:
    """Whether a flag or a variable has it: of a run that exists `batcher.toml` is not read."""
    source = ctx.get_parameter_source(name)
    return source in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)


def _shown(name: str, value: Any, ctx: click.Context) -> str:
    if value is None or value == ():
        flag = FLAGS_BY_NAME.get(name)
        default = None if flag is None else DEFAULTS[flag.field]
        if flag is not None and default is not None and default != ():
            return _flag_value(flag, default)

        return UNSET.get(_dashed(name), NONE)

    if name in SECRET and value != NONE:
        return f"set (from {_origin(ctx, name, '').partition(' ')[2] or NAME})"

    flag = FLAGS_BY_NAME.get(name)
    return _other_value(name, value) if flag is None else _flag_value(flag, value)


def _flag_value(flag: Flag, value: Any) -> str:
    if value is None or value == () or value == NONE:
        return UNSET.get(flag.name[2:], NONE)

    if isinstance(value, bool):
        return _yes_or_no(value)

    return typed(flag, value).removeprefix(f"{flag.name} ")


def _other_value(name: str, value: Any) -> str:
    match name, value:
        case "set", _:
            return " ".join(f"{key}={_json(one)}" for key, one in value)
        case "fail_on", _:
            several = [one for given in value for one in given if given != NONE]
            return ",".join(condition.text for condition in several) or NONE
        case _, bool():
            return _yes_or_no(value)
        case _, tuple():
            return " ".join(value)
        case _:
            return str(value)


def _json(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _yes_or_no(value: bool) -> str:
    return "yes" if value else "no"


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _frozen(frozen: Frozen) -> Iterator[Line]:
    origin = "run.toml, frozen"
    yield Line("provider", frozen.provider, origin)
    yield Line("base-url", frozen.base_url, origin)
    yield Line("manifest", frozen.manifest, origin)
    yield Line("set", _other_value("set", frozen.params.items()) or NONE, origin)
    yield Line("download", frozen.download or NONE, origin)
    yield Line("workers", str(frozen.shards or NONE), origin)


def _of_this_process(ctx: click.Context, flags: Mapping[str, Any]) -> Iterator[Line]:
    """Yield what is kept in no file of the run, so only flags and variables count."""
    options = [param for param in ctx.command.params if isinstance(param, click.Option)]
    defaults = {option.name: False if option.is_flag else option.default for option in options}
    for name, value in flags.items():
        if name in FLAGS_BY_NAME or name in FROZEN:
            continue

        if _is_given_now(ctx, name):
            yield Line(_dashed(name), _shown(name, value, ctx), _origin(ctx, name, ""))
        else:
            default = defaults[name] if isinstance(defaults[name], str | bool) else None
            yield Line(_dashed(name), _shown(name, default, ctx), "default")


def _keys(provider: str | None, environ: Mapping[str, str]) -> Iterator[Line]:
    """Yield whether there are keys, and where; never what they are."""
    for name in PROVIDERS if provider is None else (provider,):
        variable = PROVIDERS[name].facts.key_env
        is_set = bool(environ.get(variable, "").strip())
        value = f"set (from {variable})" if is_set else "not set"
        yield Line(f"key of {name}", value, f"environment {variable}" if is_set else "none")


# --- What is wrong -------------------------------------------------------------------------------


def _file_problems(command: click.Command, file: Path) -> Iterator[str]:
    try:
        text = file.read_text("utf-8")
        document = tomllib.loads(text)
    except FileNotFoundError:
        return
    except OSError as error:
        yield f"{file}: {error.strerror}"
        return
    except (ValueError, RecursionError) as error:
        yield f"{file}: is not TOML: {error}"
        return

    yield from (f"{file}: {told}" for told in unknown_keys(document, RUN_OPTIONS))
    try:
        known = read_config_of(file, document)
    except click.UsageError as error:
        yield error.message
        return

    context = click.Context(command)
    for param in command.params:
        if param.name in known:
            yield from _value_problems(param, known[param.name], context, text)


def read_config_of(file: Path, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a file by parameter name, whatever else stands in it."""
    own = {key.replace("-", "_") for key in document}
    return {key: value for key, value in read_config(file, own).items() if key in RUN_OPTIONS}


def _value_problems(
    param: click.Parameter, value: Any, context: click.Context, text: str
) -> Iterator[str]:
    try:
        param.type_cast_value(context, value)
    except click.BadParameter as error:
        line = line_of(text, param.name or "")
        where = NAME if line is None else f"{NAME} line {line}"
        yield f"{where}: {_dashed(param.name or '')}: {error.message}"


def _variable_problems(command: click.Command, environ: Mapping[str, str]) -> Iterator[str]:
    known = {name.upper(): name for name in RUN_OPTIONS}
    context = click.Context(command, auto_envvar_prefix=PREFIX)
    params = {param.name: param for param in command.params}
    for variable in sorted(environ):
        name = variable.removeprefix(f"{PREFIX}_")
        if name == variable:
            continue

        if name in known:
            yield from _wrong_variable(params[known[name]], variable, context)
            continue

        for near in difflib.get_close_matches(name, known, 1, NEAR):
            yield f"{variable} is not known; did you mean {PREFIX}_{near}?"


def _wrong_variable(param: click.Parameter, variable: str, context: click.Context) -> Iterator[str]:
    try:
        value = param.value_from_envvar(context)
        if value is not None:
            param.type_cast_value(context, value)
    except click.UsageError as error:
        yield f"{variable}: {error.message}"
