//! One attempt's conversation with a server, from the first byte of the request to the last of the answer.

use loadweaver_http1::{Body, ResponseHead};

use crate::buffer::Buffer;
use crate::deadline::Nanos;
use crate::exchange::Exchange;
use crate::forward::flow::{Flow, Upload};
use crate::pool::Permit;
use crate::upstream::Lease;

/// What an attempt works with. Boxed by its users: it is handed from phase to phase, and several of them may stand by
/// in one exchange.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) permit: Permit,
    pub(crate) lease: Lease,
    /// What the server sent and nobody has used yet.
    pub(crate) buffer: Buffer,
    /// The request, head and body, on its way to the server.
    pub(crate) upload: Flow,
    pub(crate) uploaded: Upload,
    /// Interim answers, then the answer, on their way to the client.
    pub(crate) download: Flow,
    /// Reads the answer's body.
    pub(crate) body: Body,
    /// The connection becomes a tunnel.
    pub(crate) is_upgrade: bool,
    /// When the head of the final answer was complete.
    pub(crate) at: Nanos,
    aside: Option<ResponseHead>,
}

impl Answer {
    pub(crate) fn new(permit: Permit, lease: Lease, upload: Flow, download: Flow) -> Box<Self> {
        Box::new(Self {
            permit,
            lease,
            buffer: Buffer::default(),
            upload,
            uploaded: Upload::Flowing,
            download,
            body: Body::default(),
            is_upgrade: false,
            at: 0,
            aside: None,
        })
    }

    /// Takes the head along, so that another attempt can have the exchange's room for one.
    pub(crate) fn set_aside(&mut self, x: &mut Exchange<'_>) {
        self.aside = Some(std::mem::take(&mut x.heads.response));
        // The next attempt sends the body from its copy; what this one had not yet written is in there.
        let spent = Flow::new(Vec::new(), self.upload.coding);
        x.heads.to_server = std::mem::replace(&mut self.upload, spent).abandon(&mut x.client.buffer);
        self.uploaded = Upload::Broken;
    }

    /// Puts the head back.
    pub(crate) fn bring_back(&mut self, x: &mut Exchange<'_>) {
        if let Some(head) = self.aside.take() {
            x.heads.response = head;
        }
    }

    /// Gives back what can be used again, whatever became of the attempt.
    pub(crate) fn put_back(self, x: &mut Exchange<'_>) -> (Permit, Lease) {
        let Self { permit, lease, mut buffer, upload, download, .. } = self;
        buffer.discard(&x.worker.stock);
        x.heads.to_server = upload.abandon(&mut x.client.buffer);
        x.heads.to_client = download.abandon(&mut Buffer::default());
        (permit, lease)
    }
}
