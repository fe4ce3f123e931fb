//! Texts of the extension endpoint: signed as they come, and no signing roots.

use std::time::{Duration, Instant};

use signer_client::wire::Signature;

use super::{SignError, Signed, SigningService};
use crate::{
    audit::{self, Outcome, Ticket},
    scheduler::Class,
};

/// How long the text of the extension endpoint may wait for a signing thread.
const TEXT_LIFETIME: Duration = Duration::from_secs(10);

impl SigningService {
    /// Signs a text as it came, for the extension endpoint: not a signing root, so nothing on the
    /// chain can be made of it. Leaves its audit row, too.
    ///
    /// # Errors
    /// When the key is unknown or the pool gives no signature.
    pub async fn sign_text(
        &self,
        client: audit::Client,
        identifier: &str,
        text: &[u8],
    ) -> Result<Signature, SignError> {
        let mut ticket = self.audit.begin(client, identifier);
        let signature = self.sign_text_with(identifier, text, &mut ticket).await;
        let result = signature.map(|signature| Signed { signature, is_repeat: false });
        Self::write_down(ticket, result).await.1
    }

    /// Refuses a request to the extension endpoint whose text is not signed. It leaves its audit
    /// row, too.
    pub fn refuse_text(&self, client: audit::Client, identifier: &str, reason: &str) {
        self.audit.begin(client, identifier).finish(Outcome::Malformed, Some(reason.to_owned()));
    }

    async fn sign_text_with(
        &self,
        identifier: &str,
        text: &[u8],
        ticket: &mut Ticket,
    ) -> Result<Signature, SignError> {
        let key = self.key(identifier)?;
        ticket.name_key(&key.public_key());
        ticket.wait_for_room(Class::Background).await;
        let deadline = Instant::now() + TEXT_LIFETIME;
        let admission = self.scheduler.admit(Class::Background, 1, deadline)?;
        let text = text.to_vec();
        let pending = admission.run(move || key.secret_key().sign_bytes(&text));
        let completed = pending.finished().await?;
        ticket.waited_in_queue(completed.queued);
        ticket.spent_signing(completed.ran);
        Ok(completed.value)
    }
}
