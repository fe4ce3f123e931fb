//! Which path leads where, and what every request passes before.

use std::sync::Arc;

use axum::{
    Router,
    extract::FromRef,
    middleware::{from_fn, from_fn_with_state},
    routing::{get, post, put},
};
use tower_http::catch_panic::CatchPanicLayer;

use super::{
    body::MaxBodyBytes,
    body_budget::BodyBudget,
    layers::{access_log, cors, host_allow_list, too_large},
    reply,
    routes::{self, sign_batch::MaxBatchKeys},
    server_timing::ServerTiming,
};
use crate::{
    aggregation::AggregationService,
    config::{CorsOrigins, HostAllowList},
    keys::Registry,
    one_shot::OneShot,
    prefetch::PrefetchStatus,
    reload::Reloader,
    signing::SigningService,
    slashing::SlashingProtection,
    telemetry::metrics::{Category, Metrics},
};

/// What the routes of the signing port use.
#[derive(Clone, FromRef)]
struct Parts {
    signing: Arc<SigningService>,
    registry: Arc<Registry>,
    reloader: Arc<Reloader>,
    slashing: SlashingProtection,
    prefetch: Option<Arc<PrefetchStatus>>,
    max_body_bytes: MaxBodyBytes,
    body_budget: BodyBudget,
    max_batch_keys: MaxBatchKeys,
    server_timing: ServerTiming,
}

/// The parts behind the signing port, and which endpoints it has.
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub struct SigningPort {
    /// Signs.
    pub signing: Arc<SigningService>,
    /// The loaded keys.
    pub registry: Arc<Registry>,
    /// Loads keys.
    pub reloader: Arc<Reloader>,
    /// Slashing protection, for its state.
    pub slashing: SlashingProtection,
    /// How prefetch is doing, when it is on.
    pub prefetch: Option<Arc<PrefetchStatus>>,
    /// Whether the audit can be read over HTTP.
    pub audit_api: bool,
    /// Whether the extension endpoint is served.
    pub signing_extension: bool,
    /// Largest body that is read, in bytes.
    pub max_body_bytes: usize,
    /// Most bytes of all bodies that are in memory at a time.
    pub max_body_bytes_in_flight: usize,
    /// Most keys of one batch request.
    pub max_batch_keys: usize,
    /// Whether answers to signing requests say where the time went.
    pub server_timing: bool,
    /// Hosts that a request may name.
    pub host_allow_list: HostAllowList,
    /// Origins that a request may name.
    pub cors_origins: CorsOrigins,
    /// Whether every request is logged.
    pub access_log: bool,
    /// The aggregation worker, if it runs.
    pub aggregation: Option<AggregationRoutes>,
}

/// The aggregation worker behind its routes.
pub struct AggregationRoutes {
    /// Takes jobs.
    pub service: Arc<AggregationService>,
    /// Signs what they came to.
    pub one_shot: Arc<OneShot>,
    /// Largest body that is read, in bytes.
    pub max_body_bytes: usize,
}

/// What the aggregation routes use.
#[derive(Clone, FromRef)]
struct AggregationParts {
    service: Arc<AggregationService>,
    one_shot: Arc<OneShot>,
    max_body_bytes: MaxBodyBytes,
    body_budget: BodyBudget,
}

impl AggregationRoutes {
    fn router(self, body_budget: BodyBudget) -> Router {
        use routes::aggregation::{events, jobs, sign, status, tables};
        let max_body_bytes = MaxBodyBytes(self.max_body_bytes);
        Router::new()
            .route("/midslot/v1/aggregation/jobs", post(jobs::post))
            .route("/midslot/v1/aggregation/jobs/{id}", get(jobs::get).delete(jobs::delete))
            .route("/midslot/v1/aggregation/jobs/{id}/events", get(events::get))
            .route("/midslot/v1/aggregation/sign", post(sign::post))
            .route("/midslot/v1/aggregation/status", get(status::get))
            .route("/midslot/v1/aggregation/tables/{sha256}", put(tables::put))
            .with_state(AggregationParts {
                service: self.service,
                one_shot: self.one_shot,
                max_body_bytes,
                body_budget,
            })
    }
}

impl SigningPort {
    /// The router. Layers are added from the inside to the outside: a request meets the last one
    /// first.
    pub fn router(self) -> Router {
        let body_budget = BodyBudget::new(self.max_body_bytes_in_flight);
        let parts = Parts {
            signing: self.signing,
            registry: self.registry,
            reloader: self.reloader,
            slashing: self.slashing.clone(),
            prefetch: self.prefetch,
            max_body_bytes: MaxBodyBytes(self.max_body_bytes),
            body_budget: body_budget.clone(),
            max_batch_keys: MaxBatchKeys(self.max_batch_keys),
            server_timing: ServerTiming(self.server_timing),
        };
        let mut router = Router::new()
            .route("/api/v1/eth2/sign/{identifier}", post(routes::sign::post))
            .route("/api/v1/eth2/sign", post(routes::sign_batch::post))
            .route("/midslot/v1/selection-proofs", post(routes::selection_proofs::post))
            .route("/api/v1/eth2/publicKeys", get(routes::public_keys::get))
            .route("/upcheck", get(routes::upcheck::get))
            .route("/healthcheck", get(routes::healthcheck::get))
            .route("/reload", get(routes::reload::get).post(routes::reload::post));
        if self.slashing.is_enabled() {
            let path = "/api/v1/eth2/highWatermark";
            router = router.route(path, get(routes::high_watermark::get));
        }
        if self.signing_extension {
            let path = "/api/v1/eth2/ext/sign/{identifier}";
            router = router.route(path, post(routes::ext_sign::post));
        }
        if self.audit_api {
            router = router.route("/midslot/v1/audit", get(routes::audit::get));
        }
        let mut router = router.with_state(parts);
        if let Some(aggregation) = self.aggregation {
            router = router.merge(aggregation.router(body_budget));
        }
        let router = router
            .fallback(reply::unknown_path)
            .layer(from_fn(too_large::close))
            .layer(from_fn_with_state(Arc::new(self.host_allow_list), host_allow_list::check))
            // Before the host: a browser's request is answered by its origin alone.
            .layer(from_fn_with_state(Arc::new(self.cors_origins), cors::check))
            // A panic in a route is a 500 and costs only its own request.
            .layer(CatchPanicLayer::custom(reply::panicked));
        if self.access_log { router.layer(from_fn(access_log::write)) } else { router }
    }
}

/// The parts behind the metrics port.
pub struct MetricsPort {
    /// Every metric of the process.
    pub metrics: Arc<Metrics>,
    /// Slashing protection, for its state.
    pub slashing: SlashingProtection,
    /// The groups to show.
    pub categories: Vec<Category>,
    /// Hosts that a request may name.
    pub host_allow_list: HostAllowList,
}

impl MetricsPort {
    /// The router.
    pub fn router(self) -> Router {
        let page = routes::metrics::MetricsPage {
            metrics: self.metrics,
            slashing: self.slashing,
            categories: self.categories.into(),
        };
        Router::new()
            .route("/metrics", get(routes::metrics::get))
            .with_state(page)
            .fallback(reply::unknown_path)
            .layer(from_fn_with_state(Arc::new(self.host_allow_list), host_allow_list::check))
    }
}
