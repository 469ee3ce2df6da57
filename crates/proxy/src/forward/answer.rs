//! An answer whose head has come, and everything that is still needed to pass it on.

use loadweaver_http1::{Body, ResponseHead};

use crate::buffer::Buffer;
use crate::deadline::Nanos;
use crate::exchange::Exchange;
use crate::forward::flow::{Flow, Upload};
use crate::pool::Permit;
use crate::upstream::Lease;

/// An attempt that got an answer's head; the head stands in `heads.response`.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) permit: Permit,
    pub(crate) lease: Lease,
    /// What the server sent beyond the head.
    pub(crate) buffer: Buffer,
    /// The request's body on its way to the server.
    pub(crate) upload: Flow,
    pub(crate) uploaded: Upload,
    /// Interim answers that the client has yet to take.
    pub(crate) download: Flow,
    pub(crate) body: Body,
    pub(crate) is_upgrade: bool,
    /// When the head was complete.
    pub(crate) at: Nanos,
    aside: Option<Box<ResponseHead>>,
}

impl Answer {
    #[expect(clippy::too_many_arguments, reason = "the parts of one attempt, handed over once")]
    pub(crate) fn new(
        permit: Permit,
        lease: Lease,
        buffer: Buffer,
        (upload, uploaded): (Flow, Upload),
        download: Flow,
        body: Body,
        is_upgrade: bool,
        at: Nanos,
    ) -> Self {
        Self { permit, lease, buffer, upload, uploaded, download, body, is_upgrade, at, aside: None }
    }

    /// Takes the head along, so that another attempt can have the exchange's room for one.
    pub(crate) fn set_aside(mut self, x: &mut Exchange<'_>) -> Self {
        self.aside = Some(Box::new(std::mem::take(&mut x.heads.response)));
        // The next attempt sends the body from its copy; what this one had not yet written is in there.
        let spent = Flow::new(Vec::new(), self.upload.coding);
        x.heads.to_server = std::mem::replace(&mut self.upload, spent).abandon(&mut x.client.buffer);
        self.uploaded = Upload::Broken;
        self
    }

    /// Puts the head back.
    pub(crate) fn bring_back(mut self, x: &mut Exchange<'_>) -> Self {
        if let Some(head) = self.aside.take() {
            x.heads.response = *head;
        }
        self
    }
}
