//! `grpc.health.v1.Health`: what `/readyz` says, for clients that ask in gRPC's own way.

use std::sync::Arc;

use linnet_proto::v1::CHANNEL;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::server::{HealthReporter, HealthService};

use crate::drain::{Lifecycle, Phase};

/// The service, and a task that keeps it up to date.
pub(super) fn service(lifecycle: Arc<Lifecycle>) -> HealthServer<impl Health> {
    let reporter = HealthReporter::new();
    let service = HealthService::from_health_reporter(reporter.clone());
    tokio::spawn(async move {
        tell(&reporter, ServingStatus::NotServing).await;
        lifecycle.until(Phase::Serving).await;
        if !lifecycle.is_draining() {
            tell(&reporter, ServingStatus::Serving).await;
        }
        lifecycle.until(Phase::Draining).await;
        tell(&reporter, ServingStatus::NotServing).await;
    });
    HealthServer::new(service)
}

/// The process and its one service are the same.
async fn tell(reporter: &HealthReporter, status: ServingStatus) {
    for name in ["", CHANNEL] {
        reporter.set_service_status(name, status).await;
    }
}
