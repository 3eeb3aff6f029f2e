//! What a run says: to people ([`text`], with the [`timeline`] and the [`figures`]) and to programs ([`json`]).

pub mod board;
pub mod figures;
pub mod json;
pub mod names;
pub mod sessions;
pub mod text;
pub mod timeline;
