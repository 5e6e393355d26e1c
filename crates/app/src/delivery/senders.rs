//! Which sender a stream's texts leave from.

use domain::ids::{AccountId, SenderId};
use domain::rates::SenderKind;
use store::{Result, Tx, senders};

/// A sender as dispatch needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct From {
    /// What it is.
    pub kind: SenderKind,
    /// Number, short code or messaging service SID.
    pub address: String,
    /// Its pace.
    pub segments_per_second: u32,
}

/// The sender with this id; else the account's usable messaging service, which spreads a batch over
/// its numbers; else its first usable sender; else the installation's.
pub async fn choose(
    tx: &mut Tx,
    account: AccountId,
    wanted: Option<SenderId>,
    installation: Option<&From>,
) -> Result<Option<From>> {
    let all = senders::list_senders(tx, account).await?;
    let usable = all
        .into_iter()
        .filter(|sender| sender.active && wanted.is_none_or(|id| id == sender.id))
        .min_by_key(|sender| sender.kind != SenderKind::MessagingService);
    Ok(match usable {
        Some(sender) => Some(From {
            kind: sender.kind,
            address: sender.address,
            segments_per_second: sender.segments_per_second,
        }),
        None if wanted.is_none() => installation.cloned(),
        None => None,
    })
}
