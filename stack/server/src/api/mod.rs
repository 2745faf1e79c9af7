//! The public HTTP APIs: Prometheus, Alertmanager, Loki, Tempo. Routes and shapes only; the engines answer.

pub(crate) mod alertmanager;
pub(crate) mod common;
pub(crate) mod federate;
pub(crate) mod jaeger;
pub(crate) mod loki;
pub(crate) mod loki_tail;
pub(crate) mod prometheus;
pub(crate) mod prometheus_status;
pub(crate) mod receivers;
pub(crate) mod ruler;
pub(crate) mod tempo;
pub(crate) mod websocket;
