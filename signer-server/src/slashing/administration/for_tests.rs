//! What tests of records need beside them: signing as the lane does, and looking at everything.

use signer_client::wire::{Root, Slot};

use super::{Administration, PublicKey, Records, Store, StoreError};
use crate::{
    audit::{Buffer, Client, Writer},
    slashing::{
        rules::VoteEpochs,
        store::{Decision, Request, records::Snapshot},
    },
};

impl Administration {
    pub(crate) async fn snapshot(&mut self) -> Result<impl Snapshot, StoreError> {
        self.store.begin_export().await
    }

    fn request<Subject>(&self, key: PublicKey, subject: Subject, root: u8) -> Request<Subject> {
        let ticket = Writer::new(Buffer::new("test", 1)).begin(Client::default(), "");
        let mut audit = ticket.unconfirmed().unwrap();
        // Ids ascend with what is recorded.
        audit.id = i64::from(uuid::Uuid::new_v4().as_u128() as u32);
        Request {
            key,
            subject,
            signing_root: Root([root; 32]),
            genesis_validators_root: Root([0x11; 32]),
            audit,
        }
    }

    /// Asks for a vote as the signer does.
    pub(crate) async fn sign(&mut self, key: PublicKey, vote: VoteEpochs, root: u8) -> Decision {
        let request = self.request(key, vote, root);
        self.store.clear_attestations(&[request]).await.unwrap()[0]
    }

    /// Asks for a block as the signer does.
    pub(crate) async fn propose(&mut self, key: PublicKey, slot: Slot, root: u8) -> Decision {
        let request = self.request(key, slot, root);
        self.store.clear_blocks(&[request]).await.unwrap()[0]
    }
}
