//! Go text/template with the functions of Prometheus and Alertmanager.
