//! Our server, and the client of `h2`.

use std::collections::HashMap;

use bytes::Bytes;
use loadweaver_http1::RequestHead;
use loadweaver_http2::{Code, Connection, Event, Finish, Limits, StreamId};

use crate::drive::{App, Sending, drive, lines, read_all};
use crate::random::{Abort, Plan, Random, of_headers, of_map, sorted, to_map};

/// Answers by the plan of each request.
#[derive(Debug, Default)]
struct Answers {
    seed: u64,
    exchanges: HashMap<StreamId, Exchange>,
    served: usize,
}

#[derive(Debug)]
struct Exchange {
    plan: Plan,
    body: Vec<u8>,
    sending: Option<Sending>,
}

impl App for Answers {
    fn on(&mut self, connection: &mut Connection, event: Option<Event>) {
        match event {
            Some(Event::Head(id)) => {
                let mut head = RequestHead::default();
                connection.take_request(id, &mut head).unwrap();
                let plan = Plan::new(self.seed, Plan::number_of(head.target()));
                assert_eq!((head.method_text(), head.target()), (plan.method, plan.path.as_str()));
                assert_eq!(head.host(), "a.example");
                assert_eq!(of_headers(&head.headers, "q-"), sorted(plan.fields.clone(), "q-"));
                self.exchanges.insert(id, Exchange { plan, body: Vec::new(), sending: None });
                self.go_on(connection, id);
            }
            Some(Event::Readable(id) | Event::Writable(id)) => self.go_on(connection, id),
            Some(Event::Reset(id, _)) => {
                let exchange = self.exchanges.remove(&id).unwrap();
                assert_ne!(exchange.plan.abort, Abort::Nobody, "{:?}", exchange.plan);
                connection.release(id);
            }
            Some(Event::GoAway { .. } | Event::Room | Event::Pong(_)) | None => {}
        }
    }

    fn closes(&self) -> bool {
        false
    }

    fn is_done(&self) -> bool {
        true
    }
}

impl Answers {
    fn go_on(&mut self, connection: &mut Connection, id: StreamId) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        let plan = &exchange.plan;
        let ended = read_all(connection, id, &mut exchange.body);
        if plan.abort == Abort::Server && exchange.body.len() >= plan.body / 2 {
            connection.reset(id, Code::INTERNAL_ERROR);
            connection.release(id);
            self.exchanges.remove(&id);
            return;
        }
        if ended && exchange.sending.is_none() {
            assert!(exchange.body == plan.bytes(plan.body), "another body");
            let trailers = connection.trailers(id).unwrap_or_default();
            assert_eq!(of_headers(&trailers, "t-"), sorted(plan.trailers.clone(), "t-"));
            let mut fields = lines(&plan.answer_fields);
            if plan.lengths {
                fields.extend(format!("content-length: {}\r\n", plan.answer_body).bytes());
            }
            connection.respond_with(id, 103, b"link: </style.css>\r\n", Finish::Later);
            connection.respond_with(id, plan.status, &fields, Finish::Later);
            exchange.sending = Some(Sending::new(plan.bytes(plan.answer_body), &plan.answer_trailers));
        }
        if let Some(sending) = &mut exchange.sending {
            sending.go_on(connection, id);
            if sending.ended {
                connection.release(id);
                self.exchanges.remove(&id);
                self.served += 1;
            }
        }
    }
}

/// One exchange by `h2`, again where the stream was refused: before it has our settings it cannot know better, and while
/// we still hold a stream that it has reset.
async fn ask(client: h2::client::SendRequest<Bytes>, plan: Plan, random: Random) {
    while let Err(error) = try_to_ask(client.clone(), plan.clone(), random.clone()).await {
        if error.reason() != Some(h2::Reason::REFUSED_STREAM) {
            return assert_ne!(plan.abort, Abort::Nobody, "{error}");
        }
    }
}

async fn try_to_ask(
    mut client: h2::client::SendRequest<Bytes>,
    plan: Plan,
    mut random: Random,
) -> Result<(), h2::Error> {
    client = std::future::poll_fn(|cx| client.poll_ready(cx)).await.map(|()| client).unwrap();
    let uri = format!("http://a.example{}", plan.path);
    let mut request = http::Request::builder().method(plan.method).uri(uri).body(()).unwrap();
    request.headers_mut().extend(to_map(&plan.fields));
    if plan.lengths && plan.body > 0 {
        request.headers_mut().insert("content-length", plan.body.into());
    }
    let ends = plan.body == 0 && plan.trailers.is_empty();
    let (answer, mut stream) = client.send_request(request, ends).unwrap();
    if !ends {
        // Why it failed, if it did, is what the answer says.
        let _ = send(&mut stream, &plan, plan.body, &plan.trailers, &mut random).await;
    }
    let answer = answer.await?;
    assert_eq!(answer.status(), plan.status);
    assert_eq!(of_map(answer.headers(), "a-"), sorted(plan.answer_fields.clone(), "a-"));
    let mut body = answer.into_body();
    let mut got = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.unwrap();
        got.extend_from_slice(&piece);
        body.flow_control().release_capacity(piece.len()).unwrap();
    }
    assert!(got == plan.bytes(plan.answer_body), "another body");
    let trailers = body.trailers().await.unwrap().unwrap_or_default();
    assert_eq!(of_map(&trailers, "u-"), sorted(plan.answer_trailers.clone(), "u-"));
    Ok(())
}

/// Sends a body by `h2`; an error where the other side has given up, or we have.
pub(crate) async fn send(
    stream: &mut h2::SendStream<Bytes>,
    plan: &Plan,
    len: usize,
    trailers: &[(String, String)],
    random: &mut Random,
) -> Result<(), ()> {
    let bytes = plan.bytes(len);
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        stream.reserve_capacity((1 + random.size(40_000)).min(rest.len()));
        let room = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await.ok_or(())?.map_err(drop)?;
        let (piece, after) = rest.split_at(room.min(rest.len()));
        rest = after;
        let last = rest.is_empty() && trailers.is_empty();
        stream.send_data(Bytes::copy_from_slice(piece), last).map_err(drop)?;
        if plan.abort == Abort::Client && random.chance(30) {
            stream.send_reset(h2::Reason::CANCEL);
            return Err(());
        }
    }
    if !trailers.is_empty() {
        stream.send_trailers(to_map(trailers)).map_err(drop)?;
    } else if len == 0 {
        stream.send_data(Bytes::new(), true).map_err(drop)?;
    }
    Ok(())
}

async fn clients_of_h2_are_served(seed: u64) {
    let mut random = Random::new(seed);
    let (ours, theirs) = tokio::io::duplex(1000 + random.size(50_000));
    // One that is much smaller is taken for an attack.
    let window = 1000 + random.size(100_000);
    let limits = Limits {
        max_streams: 1 + u32::try_from(random.size(20)).unwrap(),
        stream_window: 1 + u32::try_from(random.size(200_000)).unwrap(),
        fields: 200,
        ..Limits::default()
    };
    let mut app = Answers { seed, ..Answers::default() };
    let serving = drive(ours, Connection::server(&limits, 0), &mut app, Random::new(seed + 1));
    let asking = async {
        let (client, connection) = h2::client::Builder::new()
            .initial_window_size(u32::try_from(window).unwrap())
            .header_table_size(u32::try_from(random.size(3) * 4096).unwrap())
            .handshake::<_, Bytes>(theirs)
            .await
            .unwrap();
        let connection = tokio::task::spawn_local(async { connection.await.unwrap() });
        let mut tasks = Vec::new();
        for number in 0..60 {
            let plan = Plan::new(seed, number);
            tasks.push(tokio::task::spawn_local(ask(client.clone(), plan, Random::new(seed ^ number))));
        }
        drop(client);
        for task in tasks {
            task.await.unwrap();
        }
        connection.await.unwrap();
    };
    tokio::join!(serving, asking);
    assert!(app.served > 20, "only {} were served", app.served);
}

#[test]
fn a_client_of_h2_gets_from_us_what_was_planned() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for seed in 0..15 {
        println!("seed {seed}");
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let limit = std::time::Duration::from_secs(10);
            tokio::time::timeout(limit, clients_of_h2_are_served(seed)).await.expect("it hangs");
        });
    }
}
