//! What every request passes before it reaches a route.

pub(super) mod access_log;
pub(super) mod cors;
pub(super) mod host_allow_list;
pub(super) mod path;
pub(super) mod too_large;
