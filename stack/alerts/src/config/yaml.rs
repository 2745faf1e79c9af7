//! How alertmanager.yml is read and written: null means the zero value, unknown keys are refused, what is empty is not written.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

/// Reads a value; null (`key:` with nothing behind it) is the zero value, as in Alertmanager.
pub(crate) fn or_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// What Go's `omitempty` leaves out; flags and numbers are always written.
pub(crate) trait Blank {
    /// Whether there is nothing to write.
    fn is_blank(&self) -> bool;
}

/// The same as a function, which serde can be given by its path.
pub(crate) fn is_blank<T: Blank>(value: &T) -> bool {
    value.is_blank()
}

impl Blank for String {
    fn is_blank(&self) -> bool {
        self.is_empty()
    }
}

impl Blank for bool {
    fn is_blank(&self) -> bool {
        false
    }
}

impl Blank for u64 {
    fn is_blank(&self) -> bool {
        false
    }
}

impl Blank for i64 {
    fn is_blank(&self) -> bool {
        *self == 0
    }
}

impl<T> Blank for Option<T> {
    fn is_blank(&self) -> bool {
        self.is_none()
    }
}

impl<T> Blank for Vec<T> {
    fn is_blank(&self) -> bool {
        self.is_empty()
    }
}

impl<K, V> Blank for BTreeMap<K, V> {
    fn is_blank(&self) -> bool {
        self.is_empty()
    }
}

/// Declares a block of alertmanager.yml: its keys with their defaults, and a check that runs once the block has been read, so that
/// the error carries the line and column of the block.
macro_rules! block {
    (
        $(#[$doc:meta])*
        $name:ident { $( $(#[$field_doc:meta])* $field:ident : $kind:ty = $default:expr, )* }
        check($this:ident) $check:block
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(remote = "Self", default, deny_unknown_fields)]
        pub(crate) struct $name {
            $(
                $(#[$field_doc])*
                #[serde(
                    deserialize_with = "crate::config::yaml::or_default",
                    skip_serializing_if = "crate::config::yaml::is_blank"
                )]
                pub(crate) $field: $kind,
            )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $default, )* }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let mut block = Self::deserialize(deserializer)?;
                let check = |$this: &mut Self| -> Result<(), String> { $check };
                check(&mut block).map_err(serde::de::Error::custom)?;
                Ok(block)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                Self::serialize(self, serializer)
            }
        }

        impl crate::config::yaml::Blank for $name {
            fn is_blank(&self) -> bool {
                *self == Self::default()
            }
        }
    };
}
pub(crate) use block;

/// `at most one of ... must be configured`, where more than one is.
pub(crate) fn at_most_one(names: &str, set: &[bool]) -> Result<(), String> {
    if set.iter().filter(|is_set| **is_set).count() > 1 {
        return Err(format!("at most one of {names} must be configured"));
    }
    Ok(())
}
