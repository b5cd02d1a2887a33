//! What people and their programs are told: one typed message, and its forms for mail, chat, pagers and telephones.

mod audience;
mod compose;
mod digest;
mod digest_view;
mod foreign;
mod html;
mod kind;
mod model;
mod pagerduty;
mod parts;
mod slack;
mod text;
mod view;
mod words;

pub use audience::Audience;
pub use compose::{Signature, of_digest, of_entries, of_test};
pub use digest::{Digest, DigestDatabase, DigestIncident, DigestLeftOut, StorageShare};
pub use foreign::of_foreign;
pub use html::to_html;
pub use kind::Kind;
pub use model::{Change, Entry, FORMAT_VERSION, Message, Note, Protection, Purpose};
pub use pagerduty::to_pagerduty;
pub use slack::to_slack;
pub use text::{to_sms, to_text};
pub(crate) use words::{Told, closed, tell};

/// The longest subject that SNS puts on a mail; it must be ASCII.
pub const LONGEST_SUBJECT: usize = 99;
