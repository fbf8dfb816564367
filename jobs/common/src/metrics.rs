//! Prometheus metrics on `--metrics-addr`.
//!
//! `tideway_rows_total`, `tideway_bytes_total`, `tideway_units_total` (chunks), each with the labels
//! `job` and `source`, and `tideway_rows_expected`, an estimate.

use std::net::SocketAddr;

use metrics_exporter_prometheus::PrometheusBuilder;

use crate::error::JobError;

/// Serves metrics on `addr` until the process ends.
///
/// # Errors
/// When the address cannot be bound.
pub fn serve(addr: SocketAddr) -> Result<(), JobError> {
    PrometheusBuilder::new()
        .with_http_listener(addr)
        .install()
        .map_err(|error| JobError::config(format!("--metrics-addr {addr}: {error}")))?;
    tracing::info!("metrics on http://{addr}/metrics");
    Ok(())
}
