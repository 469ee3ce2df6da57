//! Our client, and the server of `h2`.

use std::collections::HashMap;

use bytes::Bytes;
use loadweaver_http1::{HeadLimits, RequestHead, ResponseHead};
use loadweaver_http2::{Code, Connection, Event, Finish, Limits, Opening, Scheme, StreamId};

use crate::drive::{App, Sending, drive, lines, read_all};
use crate::random::{Abort, Plan, Random, of_headers, of_map, sorted, to_map};
use crate::server::send;

const EXCHANGES: u64 = 60;

/// Asks by plan, as many at once as it may.
#[derive(Debug, Default)]
struct Asks {
    seed: u64,
    next: u64,
    exchanges: HashMap<StreamId, Exchange>,
    answered: usize,
}

#[derive(Debug)]
struct Exchange {
    plan: Plan,
    sending: Sending,
    status: u16,
    body: Vec<u8>,
}

impl App for Asks {
    fn on(&mut self, connection: &mut Connection, event: Option<Event>) {
        match event {
            Some(Event::Head(id)) => {
                let exchange = self.exchanges.get_mut(&id).unwrap();
                let mut head = ResponseHead::default();
                assert!(connection.take_response(id, &mut head));
                exchange.status = head.status();
                if head.status() >= 200 {
                    assert_eq!(head.status(), exchange.plan.status);
                    let fields = sorted(exchange.plan.answer_fields.clone(), "a-");
                    assert_eq!(of_headers(&head.headers, "a-"), fields);
                }
                self.go_on(connection, id);
            }
            Some(Event::Readable(id) | Event::Writable(id)) => self.go_on(connection, id),
            Some(Event::Reset(id, code)) => {
                let exchange = self.exchanges.remove(&id).unwrap();
                assert_ne!(exchange.plan.abort, Abort::Nobody, "{code:?} {:?}", exchange.plan);
                connection.release(id);
            }
            Some(Event::GoAway { .. } | Event::Room | Event::Pong(_)) => {}
            None => self.open(connection),
        }
    }

    fn closes(&self) -> bool {
        true
    }

    fn is_done(&self) -> bool {
        self.next == EXCHANGES && self.exchanges.is_empty()
    }
}

impl Asks {
    fn open(&mut self, connection: &mut Connection) {
        while self.next < EXCHANGES && connection.is_settled() {
            let plan = Plan::new(self.seed, self.next);
            let text = format!("{} {} HTTP/1.1\r\nHost: a.example\r\n\r\n", plan.method, plan.path);
            let mut head = RequestHead::default();
            head.parse(text.as_bytes(), &HeadLimits::default()).unwrap().unwrap();
            let mut extra = lines(&plan.fields);
            if plan.lengths && plan.body > 0 {
                extra.extend(format!("content-length: {}\r\n", plan.body).bytes());
            }
            let ends = plan.body == 0 && plan.trailers.is_empty();
            let opening = Opening { finish: if ends { Finish::Now } else { Finish::Later }, protocol: None };
            let Ok(id) = connection.open(&head, &extra, opening) else { return };
            let mut sending = Sending::new(plan.bytes(plan.body), &plan.trailers);
            sending.ended = ends;
            self.exchanges.insert(id, Exchange { plan, sending, status: 0, body: Vec::new() });
            self.next += 1;
            self.go_on(connection, id);
        }
    }

    fn go_on(&mut self, connection: &mut Connection, id: StreamId) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        exchange.sending.go_on(connection, id);
        let ended = read_all(connection, id, &mut exchange.body);
        let plan = &exchange.plan;
        if plan.abort == Abort::Client
            && exchange.status >= 200
            && exchange.body.len() >= plan.answer_body / 2
        {
            connection.reset(id, Code::CANCEL);
            connection.release(id);
            self.exchanges.remove(&id);
            return;
        }
        if ended && exchange.status >= 200 {
            assert!(exchange.body == plan.bytes(plan.answer_body), "another body");
            let trailers = connection.trailers(id).unwrap_or_default();
            assert_eq!(of_headers(&trailers, "u-"), sorted(plan.answer_trailers.clone(), "u-"));
            connection.release(id);
            self.exchanges.remove(&id);
            self.answered += 1;
        }
    }
}

/// One exchange by `h2`.
async fn answer(
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    seed: u64,
) -> Result<(), ()> {
    let path = request.uri().path_and_query().unwrap().as_str();
    let plan = Plan::new(seed, Plan::number_of(path));
    let mut random = Random::new(seed ^ plan.number);
    assert_eq!((request.method().as_str(), path), (plan.method, plan.path.as_str()));
    assert_eq!(request.uri().authority().unwrap(), "a.example");
    assert_eq!(of_map(request.headers(), "q-"), sorted(plan.fields.clone(), "q-"));
    let mut body = request.into_body();
    let mut got = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.map_err(drop)?;
        got.extend_from_slice(&piece);
        body.flow_control().release_capacity(piece.len()).map_err(drop)?;
    }
    assert!(got == plan.bytes(plan.body), "another body");
    let trailers = body.trailers().await.map_err(drop)?.unwrap_or_default();
    assert_eq!(of_map(&trailers, "t-"), sorted(plan.trailers.clone(), "t-"));
    if plan.abort == Abort::Server {
        respond.send_reset(h2::Reason::INTERNAL_ERROR);
        return Err(());
    }
    let mut answer = http::Response::builder().status(plan.status).body(()).unwrap();
    answer.headers_mut().extend(to_map(&plan.answer_fields));
    if plan.lengths {
        answer.headers_mut().insert("content-length", plan.answer_body.into());
    }
    let ends = plan.answer_body == 0 && plan.answer_trailers.is_empty();
    let mut stream = respond.send_response(answer, ends).map_err(drop)?;
    if ends {
        return Ok(());
    }
    let plan = Plan { abort: Abort::Nobody, ..plan };
    send(&mut stream, &plan, plan.answer_body, &plan.answer_trailers, &mut random).await
}

async fn a_server_of_h2_answers(seed: u64) {
    let mut random = Random::new(seed);
    let (ours, theirs) = tokio::io::duplex(1000 + random.size(50_000));
    let limits = Limits {
        stream_window: 1 + u32::try_from(random.size(200_000)).unwrap(),
        fields: 200,
        ..Limits::default()
    };
    let mut app = Asks { seed, ..Asks::default() };
    let connection = Connection::client(&limits, Scheme::Http, 0);
    let asking = drive(ours, connection, &mut app, Random::new(seed + 1));
    let serving = async {
        let mut builder = h2::server::Builder::new();
        builder
            .initial_window_size(1 + u32::try_from(random.size(100_000)).unwrap())
            .max_concurrent_streams(1 + u32::try_from(random.size(20)).unwrap())
            .header_table_size(u32::try_from(random.size(3) * 4096).unwrap());
        let mut connection = builder.handshake::<_, Bytes>(theirs).await.unwrap();
        while let Some(Ok((request, respond))) = connection.accept().await {
            tokio::task::spawn_local(answer(request, respond, seed));
        }
    };
    tokio::join!(asking, serving);
    assert!(app.answered > 20, "only {} were answered", app.answered);
}

#[test]
fn we_get_from_a_server_of_h2_what_was_planned() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for seed in 0..15 {
        println!("seed {seed}");
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let limit = std::time::Duration::from_secs(10);
            tokio::time::timeout(limit, a_server_of_h2_answers(seed)).await.expect("it hangs");
        });
    }
}
