//! What a fault is aimed at.

use crate::faults::{FaultError, Point, Settings, Surroundings};
use crate::topology::Endpoint;

/// A part of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Every endpoint, probes excepted.
    Service,
    /// The endpoints of a route, or one method of it.
    Endpoint {
        method: Option<String>,
        route: String,
    },
    /// The calls to another service.
    Upstream(String),
    /// The queries.
    Database,
}

const FORMS: [&str; 4] = ["service", "endpoint:/path", "upstream:name", "database"];

impl Target {
    /// Reads the setting `target`, the whole service where it is left out.
    pub(crate) fn read(settings: &mut Settings, around: &Surroundings) -> Result<Self, FaultError> {
        let Some(text) = settings.text("target")? else {
            return Ok(Self::Service);
        };
        let (form, name) = match text.split_once(':') {
            Some((form, name)) => (form.trim(), name.trim()),
            None => (text.trim(), ""),
        };
        match form {
            "service" => Ok(Self::Service),
            "endpoint" => Self::endpoint(name, around),
            "upstream" => {
                let upstreams = || around.upstreams.iter().map(String::as_str);
                if upstreams().any(|it| it == name) {
                    Ok(Self::Upstream(name.to_owned()))
                } else {
                    let names: Vec<&str> = upstreams().collect();
                    Err(FaultError::unknown("target", "upstream", name, names))
                }
            }
            "database" if around.has_database => Ok(Self::Database),
            "database" => Err(FaultError::new(
                "target",
                format!("{} has no database", around.service),
                "service, endpoint:/path or upstream:name",
            )),
            _ => Err(FaultError::unknown("target", "target", &text, FORMS)),
        }
    }

    fn endpoint(name: &str, around: &Surroundings) -> Result<Self, FaultError> {
        let (method, route) = match name.split_once(' ') {
            Some((method, route)) => (Some(method), route.trim()),
            None => (None, name),
        };
        let known = around.endpoints.iter().any(|endpoint| {
            endpoint.route() == route && method.is_none_or(|it| it == endpoint.method())
        });
        if known {
            return Ok(Self::Endpoint {
                method: method.map(String::from),
                route: route.to_owned(),
            });
        }
        let names: Vec<&str> = around
            .endpoints
            .iter()
            .map(|endpoint| match method {
                Some(_) => endpoint.name,
                None => endpoint.route(),
            })
            .collect();
        Err(FaultError::unknown("target", "endpoint", name, names))
    }

    /// Whether a fault on this target acts when a request has come in, a call or a query is about to be made.
    pub(crate) fn meets(&self, point: Point<'_>) -> bool {
        match (self, point) {
            (Self::Service, Point::Request(Some(endpoint))) => !endpoint.is_probe(),
            (Self::Endpoint { .. }, Point::Request(Some(endpoint))) => self.covers(endpoint),
            (Self::Upstream(own), Point::Call(name)) => own == name,
            (Self::Database, Point::Query) => true,
            _ => false,
        }
    }

    /// Whether this target is the service, or an endpoint of it, to which `endpoint` belongs.
    pub(crate) fn covers(&self, endpoint: &Endpoint) -> bool {
        match self {
            Self::Service => !endpoint.is_probe(),
            Self::Endpoint { method, route } => {
                endpoint.route() == route
                    && method.as_deref().is_none_or(|it| it == endpoint.method())
            }
            Self::Upstream(_) | Self::Database => false,
        }
    }
}
