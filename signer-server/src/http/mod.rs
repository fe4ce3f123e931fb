//! The HTTP interface: paths, forms of answers, statuses. Nothing behind it knows of HTTP.

mod accept;
mod body;
mod body_budget;
mod call;
mod deadline;
mod identity;
mod layers;
mod reply;
mod router;
mod routes;
mod server_timing;

pub use layers::path::normalise as normalise_path;
pub use router::{AggregationRoutes, MetricsPort, SigningPort};
