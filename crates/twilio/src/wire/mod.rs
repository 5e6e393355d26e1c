//! Twilio's Messages API (2010-04-01) as values: what is posted, what comes back, what is called
//! back. Shapes and limits are those of FACTS 1.1 to 1.3 and 3.2. No I/O here; the calls are in
//! [`crate::client`], the meaning of an answer in [`crate::outcome`].

mod callback;
mod channel;
mod check;
mod inbound;
mod request;
mod resource;
mod sid;
mod status;

pub use callback::StatusCallback;
pub use channel::Channel;
pub(crate) use channel::{is_e164, prefix_of};
pub use check::{BODY_UNITS_MAX, Forbidden, MEDIA_MAX, VALIDITY_SECS_MAX};
pub(crate) use check::{fits_schedule, is_reachable, is_sender, is_sid, is_web_address};
pub use inbound::InboundMessage;
pub use request::{CreateMessage, ListFilter, Sender};
pub(crate) use resource::CreatedMessage;
pub use resource::{ErrorBody, MessagePage, MessageResource};
pub use sid::{Sid, SidChars, SidError};
pub use status::{MessageStatus, StatusError};
