//! A training run as it can be read from its folder, while it runs or afterwards, on this machine or a mounted one.
