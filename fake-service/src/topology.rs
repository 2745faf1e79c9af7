//! Who answers what: the four roles and their endpoints.

use std::fmt;
use std::str::FromStr;

use crate::nearest::did_you_mean;

/// What a service does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// What users talk to; calls checkout and users.
    Frontend,
    /// Places orders: writes them to its database and calls payments.
    Checkout,
    /// Charges cards; calls nobody.
    Payments,
    /// Keeps users in its database.
    Users,
}

/// Why a text is no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown role {given:?}: expected frontend, checkout, payments or users{}",
    did_you_mean(given, Role::ALL.map(Role::name))
)]
pub struct RoleError {
    /// What was given.
    pub given: String,
}

impl Role {
    /// All of them, callers first.
    pub const ALL: [Self; 4] = [Self::Frontend, Self::Checkout, Self::Payments, Self::Users];

    /// Its name, which is the name of its service and host.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Frontend => "frontend",
            Self::Checkout => "checkout",
            Self::Payments => "payments",
            Self::Users => "users",
        }
    }

    /// What it answers.
    pub const fn endpoints(self) -> &'static [Endpoint] {
        match self {
            Self::Frontend => FRONTEND,
            Self::Checkout => CHECKOUT,
            Self::Payments => PAYMENTS,
            Self::Users => USERS,
        }
    }

    /// The table that it keeps, where it has a database.
    pub const fn table(self) -> Option<&'static str> {
        match self {
            Self::Checkout => Some("orders"),
            Self::Users => Some("users"),
            Self::Frontend | Self::Payments => None,
        }
    }
}

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        Self::ALL
            .into_iter()
            .find(|role| role.name() == text)
            .ok_or_else(|| RoleError {
                given: text.to_owned(),
            })
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One thing that a service answers.
#[derive(Debug)]
pub struct Endpoint {
    /// Method and route template, for example `GET /users/{id}`: the name of its spans.
    pub name: &'static str,
    method: &'static str,
    route: &'static str,
    /// What it does.
    pub(crate) action: Action,
    /// The median of its own work in milliseconds, without calls and queries.
    pub(crate) work_ms: f64,
}

impl Endpoint {
    /// Splits the name while compiling: every request asks for its parts.
    const fn new(name: &'static str, action: Action, work_ms: f64) -> Self {
        let mut blank = 0;
        while name.as_bytes()[blank] != b' ' {
            blank += 1;
        }
        let (method, rest) = name.split_at(blank);
        let (_, route) = rest.split_at(1);
        Self {
            name,
            method,
            route,
            action,
            work_ms,
        }
    }

    /// The method.
    pub fn method(&self) -> &'static str {
        self.method
    }

    /// The route template, which is the label `endpoint`.
    pub fn route(&self) -> &'static str {
        self.route
    }

    /// Whether it only tells an orchestrator how the service is: probes are not traffic, so they are neither traced nor counted,
    /// and faults leave them alone (a hang of the whole service excepted).
    pub fn is_probe(&self) -> bool {
        matches!(self.action, Action::Health | Action::Ready)
    }
}

/// What an endpoint does after its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Says hello.
    Greet,
    /// Says that the process lives.
    Health,
    /// Says whether the service can do its work.
    Ready,
    /// Takes its time.
    Slow,
    /// Asks an upstream and passes the answer on.
    Forward {
        /// Whom.
        upstream: &'static str,
        /// Method and route template there; `{id}` is filled in.
        to: &'static str,
    },
    /// Writes an order and charges it.
    PlaceOrder,
    /// Charges a card.
    Charge,
    /// Lists users.
    ListUsers,
    /// One user.
    GetUser,
    /// A new user.
    CreateUser,
    /// Removes one user.
    DeleteUser,
    /// Removes every user that was created.
    DeleteUsers,
    /// Counts users.
    UserStats,
}

const fn forward(upstream: &'static str, to: &'static str) -> Action {
    Action::Forward { upstream, to }
}

const FRONTEND: &[Endpoint] = &[
    Endpoint::new("GET /", Action::Greet, 2.0),
    Endpoint::new(
        "GET /api/checkout",
        forward("checkout", "POST /checkout"),
        2.0,
    ),
    Endpoint::new("GET /api/users", forward("users", "GET /users"), 2.0),
    Endpoint::new(
        "GET /api/users/{id}",
        forward("users", "GET /users/{id}"),
        1.5,
    ),
    Endpoint::new("GET /api/stats", forward("users", "GET /stats"), 2.0),
    Endpoint::new("GET /slow", Action::Slow, 900.0),
    Endpoint::new("GET /health", Action::Health, 0.0),
    Endpoint::new("GET /ready", Action::Ready, 0.0),
];

const CHECKOUT: &[Endpoint] = &[
    Endpoint::new("POST /checkout", Action::PlaceOrder, 4.0),
    Endpoint::new("GET /health", Action::Health, 0.0),
    Endpoint::new("GET /ready", Action::Ready, 0.0),
];

const PAYMENTS: &[Endpoint] = &[
    Endpoint::new("POST /payments", Action::Charge, 8.0),
    Endpoint::new("GET /health", Action::Health, 0.0),
    Endpoint::new("GET /ready", Action::Ready, 0.0),
];

const USERS: &[Endpoint] = &[
    Endpoint::new("GET /users", Action::ListUsers, 2.0),
    Endpoint::new("POST /users", Action::CreateUser, 2.0),
    Endpoint::new("DELETE /users", Action::DeleteUsers, 2.0),
    Endpoint::new("GET /users/{id}", Action::GetUser, 1.0),
    Endpoint::new("DELETE /users/{id}", Action::DeleteUser, 1.5),
    Endpoint::new("GET /stats", Action::UserStats, 2.0),
    Endpoint::new("GET /health", Action::Health, 0.0),
    Endpoint::new("GET /ready", Action::Ready, 0.0),
];

/// What a request line leads to.
#[derive(Debug)]
pub(crate) enum Routed<'a> {
    /// An endpoint, with what stands in place of `{id}`.
    Found(&'static Endpoint, Option<&'a str>),
    /// The path exists, for these methods.
    OtherMethod(Vec<&'static str>),
    /// There is no such path.
    Unknown,
}

/// Finds the endpoint of a request. A role has fewer than ten: a walk is faster than a tree.
pub(crate) fn route<'a>(endpoints: &'static [Endpoint], method: &str, path: &'a str) -> Routed<'a> {
    let mut allowed = Vec::new();
    for endpoint in endpoints {
        let Some(id) = matches(endpoint.route(), path) else {
            continue;
        };
        if endpoint.method() == method {
            return Routed::Found(endpoint, id);
        }
        allowed.push(endpoint.method());
    }
    if allowed.is_empty() {
        Routed::Unknown
    } else {
        Routed::OtherMethod(allowed)
    }
}

/// Whether `path` is an instance of `template`, with its parameter.
fn matches<'a>(template: &str, path: &'a str) -> Option<Option<&'a str>> {
    match template.strip_suffix("{id}") {
        None => (template == path).then_some(None),
        Some(prefix) => path
            .strip_prefix(prefix)
            .filter(|id| !id.is_empty() && !id.contains('/'))
            .map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_by_method_and_template() {
        let found = |role: Role, method, path| match route(role.endpoints(), method, path) {
            Routed::Found(endpoint, id) => format!("{} {id:?}", endpoint.name),
            Routed::OtherMethod(allowed) => format!("only {allowed:?}"),
            Routed::Unknown => "unknown".to_owned(),
        };
        for (role, method, path, expected) in [
            (Role::Frontend, "GET", "/", "GET / None"),
            (
                Role::Frontend,
                "GET",
                "/api/users/7",
                "GET /api/users/{id} Some(\"7\")",
            ),
            (Role::Frontend, "GET", "/api/users/", "unknown"),
            (Role::Frontend, "GET", "/api/users/7/x", "unknown"),
            (
                Role::Users,
                "DELETE",
                "/users/7",
                "DELETE /users/{id} Some(\"7\")",
            ),
            (
                Role::Users,
                "PUT",
                "/users",
                "only [\"GET\", \"POST\", \"DELETE\"]",
            ),
            (Role::Payments, "GET", "/nothing", "unknown"),
        ] {
            assert_eq!(found(role, method, path), expected);
        }
    }

    #[test]
    fn forwards_lead_to_endpoints_that_exist() {
        for endpoint in Role::ALL.iter().flat_map(|role| role.endpoints()) {
            if let Action::Forward { upstream, to } = endpoint.action {
                let role: Role = upstream.parse().expect("a role");
                assert!(role.endpoints().iter().any(|it| it.name == to), "{to}");
            }
        }
    }
}
