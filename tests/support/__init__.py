"""What tests share: the virtual clock and fakes behind our own ports."""
