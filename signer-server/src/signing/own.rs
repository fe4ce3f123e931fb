//! Duties that this program has put together itself: no body to read, and otherwise the way of every
//! other request.

use signer_client::wire::{PublicKey, Signature};
use tracing::Instrument;

use super::{Arrival, SignError, Signed, SigningService, spans};
use crate::{
    audit::{Client, Ticket},
    duty::{Duty, Network, Protection},
};

impl SigningService {
    /// The network whose signing roots are computed.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Whether this key is loaded.
    pub fn holds(&self, key: &PublicKey) -> bool {
        self.registry.get(key).is_some()
    }

    /// Signs a duty with one key: admitted by its class, cleared, audited and counted like a request
    /// with a body. A `known` signature on the same duty is not made again; handing it out is a
    /// request all the same.
    ///
    /// # Errors
    /// Whatever keeps the signature from leaving.
    pub async fn sign_own(
        &self,
        client: Client,
        key: &PublicKey,
        duty: &Duty,
        known: Option<Signature>,
    ) -> Result<Signature, SignError> {
        self.sign_own_one(client, key, duty, known).instrument(spans::request()).await
    }

    async fn sign_own_one(
        &self,
        client: Client,
        key: &PublicKey,
        duty: &Duty,
        known: Option<Signature>,
    ) -> Result<Signature, SignError> {
        let arrival = Arrival::now(None);
        let mut timer = self.timer(arrival);
        let identifier = key.to_string();
        let mut ticket = self.audit.begin(client, &identifier);
        timer.name_type(Some(duty.duty_type));
        ticket.describe(duty);
        spans::describe(duty);
        let result = match known {
            // What could be slashed always goes through slashing protection.
            Some(signature) if duty.protection == Protection::Unprotected => {
                self.repeat(&identifier, duty, signature, &mut ticket).await
            }
            _ => {
                let deadline = arrival.at + self.lifetime(duty, None);
                self.sign_duty(&identifier, duty, deadline, &mut ticket).await
            }
        };
        Self::close(ticket, timer, result).await
    }

    /// Hands out a signature that is there, to who may have it made.
    async fn repeat(
        &self,
        identifier: &str,
        duty: &Duty,
        signature: Signature,
        ticket: &mut Ticket,
    ) -> Result<Signed, SignError> {
        let key = self.key(identifier)?;
        spans::name_key(&key.public_key());
        ticket.wait_for_room(duty.duty_type.class()).await;
        Ok(Signed { signature, is_repeat: true })
    }
}
