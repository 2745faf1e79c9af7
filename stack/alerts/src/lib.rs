//! Alertmanager: routing, grouping, inhibition, silences, time intervals and notifications.
