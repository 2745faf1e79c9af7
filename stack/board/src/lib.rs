//! Grafana dashboards as panels, and the links from metric to log to trace.
