//! The database of a service: SQLite behind a pool of bounded size.
//!
//! The queries are real; what SQLite answers from memory in microseconds takes, with a modelled service time, as long as a database
//! over a network. Calls are synchronous and short, so they run on the task.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, params};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::reply;

/// Orders are kept in a ring of so many rows, so that a week of load does not fill the memory.
const ORDERS_MAX: i64 = 1024;
/// Users that are there at the start.
const SEED_USERS: i64 = 20;
/// Bytes of a list of users, about.
const LIST_BYTES: usize = 1536;
/// Users that the table may hold.
const USERS_MAX: i64 = 10_000;

/// What a service may ask its database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Query {
    /// Some users.
    ListUsers,
    /// One user.
    GetUser(i64),
    /// A new user: name and e-mail address.
    CreateUser(String, String),
    /// Removes one user.
    DeleteUser(i64),
    /// Removes every user that was created.
    DeleteUsers,
    /// Counts users.
    CountUsers,
    /// Writes the order of that number.
    PlaceOrder(i64),
}

impl Query {
    /// Its operation (`db.operation.name`).
    pub(crate) fn operation(&self) -> &'static str {
        match self {
            Self::ListUsers | Self::GetUser(_) | Self::CountUsers => "SELECT",
            Self::CreateUser(..) => "INSERT",
            Self::DeleteUser(_) | Self::DeleteUsers => "DELETE",
            Self::PlaceOrder(_) => "REPLACE",
        }
    }

    /// Its table (`db.collection.name`).
    pub(crate) fn table(&self) -> &'static str {
        if matches!(self, Self::PlaceOrder(_)) {
            "orders"
        } else {
            "users"
        }
    }

    /// Its text with placeholders (`db.query.text`).
    pub(crate) fn text(&self) -> &'static str {
        match self {
            // The limit is part of the text: with a placeholder there, SQLite plans the statement anew at every call.
            Self::ListUsers => "SELECT id, name, email FROM users ORDER BY id LIMIT 20",
            Self::GetUser(_) => "SELECT id, name, email FROM users WHERE id = ?",
            Self::CreateUser(..) => "INSERT INTO users (name, email) VALUES (?, ?)",
            Self::DeleteUser(_) => "DELETE FROM users WHERE id = ?",
            Self::DeleteUsers => "DELETE FROM users WHERE id > ?",
            Self::CountUsers => "SELECT count(*), max(id) FROM users",
            Self::PlaceOrder(_) => "REPLACE INTO orders (slot, number, cents) VALUES (?, ?, ?)",
        }
    }

    /// The median of its duration on the modelled database, in milliseconds.
    pub(crate) fn median_ms(&self) -> f64 {
        match self {
            Self::GetUser(_) => 2.0,
            Self::DeleteUser(_) | Self::CountUsers => 3.0,
            Self::ListUsers | Self::CreateUser(..) => 4.0,
            Self::DeleteUsers | Self::PlaceOrder(_) => 5.0,
        }
    }
}

/// What a query came to: JSON, or that there is no such row.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The answer.
    Json(Vec<u8>),
    /// No row.
    Nothing,
    /// The table is full.
    Full,
}

/// An open database with its pool.
pub(crate) struct Database {
    connection: Mutex<Connection>,
    pool: Semaphore,
    connections_max: u32,
}

impl Database {
    /// Opens the file, or a database in memory, and makes its tables.
    ///
    /// # Errors
    /// Where SQLite cannot.
    pub(crate) fn open(path: Option<&Path>, connections_max: u32) -> rusqlite::Result<Self> {
        let connection = match path {
            Some(path) => Connection::open(path)?,
            None => Connection::open_in_memory()?,
        };
        if path.is_none() {
            // Nothing in memory outlives a crash, so there is nothing to roll back from.
            connection.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")?;
        }
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, email TEXT NOT NULL);
             CREATE TABLE IF NOT EXISTS orders (slot INTEGER PRIMARY KEY, number INTEGER NOT NULL, cents INTEGER NOT NULL);",
        )?;
        let users: i64 =
            connection.query_row("SELECT count(*) FROM users", [], |row| row.get(0))?;
        if users == 0 {
            for id in 1..=SEED_USERS {
                connection.execute(
                    "INSERT INTO users (id, name, email) VALUES (?, ?, ?)",
                    params![id, format!("User {id}"), format!("user{id}@example.com")],
                )?;
            }
        }
        Ok(Self {
            connection: Mutex::new(connection),
            pool: Semaphore::new(connections_max as usize),
            connections_max,
        })
    }

    /// A connection of the pool, in the order of asking; held until the query is answered.
    pub(crate) async fn connection(&self) -> Option<SemaphorePermit<'_>> {
        // Nobody closes the pool.
        self.pool.acquire().await.ok()
    }

    /// Connections that queries hold, and how many there are.
    pub(crate) fn pool(&self) -> (u32, u32) {
        let free = u32::try_from(self.pool.available_permits()).unwrap_or(u32::MAX);
        (
            self.connections_max.saturating_sub(free),
            self.connections_max,
        )
    }

    /// Asks.
    ///
    /// # Errors
    /// Where SQLite fails (the disk is full, the file is locked).
    pub(crate) fn run(&self, query: &Query) -> rusqlite::Result<Found> {
        let connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut statement = connection.prepare_cached(query.text())?;
        Ok(match query {
            Query::ListUsers => {
                let mut list = Vec::with_capacity(LIST_BYTES);
                list.push(b'[');
                let mut rows = statement.query([])?;
                while let Some(row) = rows.next()? {
                    if list.len() > 1 {
                        list.push(b',');
                    }
                    write_row(row, &mut list)?;
                }
                list.push(b']');
                Found::Json(list)
            }
            Query::GetUser(id) => {
                let mut json = Vec::new();
                let found = statement.query_row([id], |row| write_row(row, &mut json));
                match found.optional()? {
                    Some(()) => Found::Json(json),
                    None => Found::Nothing,
                }
            }
            Query::CreateUser(name, email) => {
                let count: i64 =
                    connection.query_row("SELECT count(*) FROM users", [], |row| row.get(0))?;
                if count >= USERS_MAX {
                    return Ok(Found::Full);
                }
                let id = statement.insert(params![name, email])?;
                let mut json = Vec::new();
                write_user(id, name, email, &mut json);
                Found::Json(json)
            }
            Query::DeleteUser(id) => match statement.execute([id])? {
                0 => Found::Nothing,
                _ => Found::Json(format!(r#"{{"deleted":{id}}}"#).into()),
            },
            Query::DeleteUsers => {
                let deleted = statement.execute([SEED_USERS])?;
                Found::Json(format!(r#"{{"deleted":{deleted}}}"#).into())
            }
            Query::CountUsers => {
                let (users, last): (i64, Option<i64>) =
                    statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
                let last = last.unwrap_or_default();
                Found::Json(format!(r#"{{"users":{users},"last_id":{last}}}"#).into())
            }
            Query::PlaceOrder(number) => {
                // A price that depends on nothing but the order's number.
                let cents = 500 + number * 7919 % 9500;
                statement.execute([number % ORDERS_MAX, *number, cents])?;
                Found::Json(format!(r#"{{"order":{number},"cents":{cents}}}"#).into())
            }
        })
    }
}

/// Appends the user of a row, whose texts stay where SQLite has them.
fn write_row(row: &rusqlite::Row<'_>, out: &mut Vec<u8>) -> rusqlite::Result<()> {
    let (name, email) = (row.get_ref(1)?.as_str()?, row.get_ref(2)?.as_str()?);
    write_user(row.get(0)?, name, email, out);
    Ok(())
}

/// By hand, for most of what the service writes are users.
fn write_user(id: i64, name: &str, email: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"id":"#);
    out.extend_from_slice(itoa::Buffer::new().format(id).as_bytes());
    out.extend_from_slice(br#","name":"#);
    reply::write_json_text(name, out);
    out.extend_from_slice(br#","email":"#);
    reply::write_json_text(email, out);
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_its_queries() {
        let database = Database::open(None, 4).expect("a database in memory");
        let run = |query| database.run(&query).expect("an answer");
        assert_eq!(
            run(Query::GetUser(1)),
            Found::Json(r#"{"id":1,"name":"User 1","email":"user1@example.com"}"#.into())
        );
        assert_eq!(run(Query::GetUser(99)), Found::Nothing);
        let created = run(Query::CreateUser(
            "Ada".to_owned(),
            "ada@example.com".to_owned(),
        ));
        assert_eq!(
            created,
            Found::Json(r#"{"id":21,"name":"Ada","email":"ada@example.com"}"#.into())
        );
        assert_eq!(
            run(Query::CountUsers),
            Found::Json(r#"{"users":21,"last_id":21}"#.into())
        );
        assert_eq!(
            run(Query::DeleteUser(20)),
            Found::Json(r#"{"deleted":20}"#.into())
        );
        assert_eq!(run(Query::DeleteUser(20)), Found::Nothing);
        assert_eq!(
            run(Query::DeleteUsers),
            Found::Json(r#"{"deleted":1}"#.into())
        );
        assert_eq!(
            run(Query::PlaceOrder(3)),
            Found::Json(r#"{"order":3,"cents":5257}"#.into())
        );
    }
}
