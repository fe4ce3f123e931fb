//! The HTTP interface: paths, forms of answers, statuses. Nothing behind it knows of HTTP.

mod accept;
mod body;
mod deadline;
mod identity;
mod layers;
mod reply;
mod router;
mod routes;

pub use layers::path::normalise as normalise_path;
pub use router::{MetricsPort, SigningPort};
