//! Options under their real names: a table per process kind gives each its default, its parser and its range.

use std::fmt;

use thiserror::Error;

/// Why an option could not be set.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OptionError {
    /// The model has no option of that name. That is no mistake of the operator: the real system may have it.
    #[error("option `{0}` is not modelled")]
    NotModelled(String),
    /// The value is not one that the option can have.
    #[error("option `{name}`: `{value}` is not valid; expected {expected}")]
    Invalid {
        /// The option.
        name: &'static str,
        /// What was given.
        value: String,
        /// What would be valid.
        expected: String,
    },
}

/// A type that an option can have.
pub trait OptionValue: Sized + fmt::Debug {
    /// Reads a value as the real system's configuration parser does.
    ///
    /// # Errors
    /// A phrase that says what would be valid.
    fn parse(text: &str) -> Result<Self, String>;

    /// Writes the value as the real system's configuration file has it.
    fn show(&self) -> String;
}

macro_rules! integer_option {
    ($($ty:ty: $what:literal),*) => {$(
        impl OptionValue for $ty {
            fn parse(text: &str) -> Result<Self, String> {
                text.trim().parse().map_err(|_| format!(concat!($what, " from {} to {}"), <$ty>::MIN, <$ty>::MAX))
            }
            fn show(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

integer_option!(u16: "a whole number", u32: "a whole number", u64: "a whole number", i32: "a whole number", i64: "a whole number");

impl OptionValue for bool {
    fn parse(text: &str) -> Result<Self, String> {
        match text.trim().to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("true or false".to_owned()),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl<T: OptionValue> OptionValue for Option<T> {
    fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() { Ok(None) } else { T::parse(text).map(Some) }
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(String::new, T::show)
    }
}

/// One option of a table, for `--help`-like listings and for finding the nearest word.
#[derive(Clone, Debug)]
pub struct OptionInfo {
    /// The real name.
    pub name: &'static str,
    /// The default, written as in a configuration file.
    pub default: String,
}

/// Declares a configuration type: one field per option, with real name, default and allowed range.
///
/// `field: Type = default, "real.name" [range];` where the range is optional and is any `RangeInclusive` or `RangeFrom`
/// pattern over the field's type.
macro_rules! options {
    (
        $(#[$doc:meta])*
        pub struct $name:ident {
            $( $(#[$field_doc:meta])* $field:ident : $ty:ty = $default:expr, $real:literal $(in $range:expr)? ; )*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub struct $name {
            $( $(#[$field_doc])* #[doc = ""] #[doc = concat!("Option `", $real, "`, default `", stringify!($default), "`.")] pub $field: $ty, )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $default, )* }
            }
        }

        impl $name {
            /// Sets the option of that real name.
            ///
            /// # Errors
            /// The model has no such option, or it cannot have that value.
            pub fn set(&mut self, name: &str, value: &str) -> Result<(), $crate::options::OptionError> {
                match name {
                    $( $real => {
                        let parsed = <$ty as $crate::options::OptionValue>::parse(value).map_err(|expected| {
                            $crate::options::OptionError::Invalid { name: $real, value: value.to_owned(), expected }
                        })?;
                        $( if !($range).contains(&parsed) {
                            return Err($crate::options::OptionError::Invalid {
                                name: $real,
                                value: value.to_owned(),
                                expected: format!("a value in {:?}", $range),
                            });
                        } )?
                        self.$field = parsed;
                        Ok(())
                    } )*
                    _ => Err($crate::options::OptionError::NotModelled(name.to_owned())),
                }
            }

            /// Every option with its value, written as in a configuration file, in the order of the table.
            pub fn values(&self) -> Vec<(&'static str, String)> {
                vec![ $( ($real, $crate::options::OptionValue::show(&self.$field)), )* ]
            }

            /// Every option that the model has, in the order of the table.
            pub fn table() -> Vec<$crate::options::OptionInfo> {
                let defaults = Self::default();
                vec![ $( $crate::options::OptionInfo {
                    name: $real,
                    default: $crate::options::OptionValue::show(&defaults.$field),
                }, )* ]
            }
        }
    };
}
pub(crate) use options;
