//! Over TLS, with certificates made on the spot.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};

use loadweaver_testkit::scratch::Scratch;
use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;

const AN_AUTHORITY: rcgen::IsCa = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);

/// An authority, and the file with its certificate.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: Scratch,
    file: PathBuf,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = AN_AUTHORITY;
        let certificate = params.self_signed(&key).unwrap();
        let folder = Scratch::new();
        let file = folder.file("ca.pem", certificate.pem());
        Self { issuer: Issuer::new(params, key), folder, file }
    }

    /// A server that answers 200 to whatever it reads; the first bytes that it was sent come out of the channel.
    fn server(&self, name: &str) -> (SocketAddr, Receiver<Vec<u8>>) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        serve(&params.signed_by(&key, &self.issuer).unwrap(), &key)
    }
}

/// The server, with this certificate.
fn serve(certificate: &rcgen::Certificate, key: &KeyPair) -> (SocketAddr, Receiver<Vec<u8>>) {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = channel();
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, socket.unwrap());
            if let Ok(read) = whole_request(&mut stream) {
                let _ = std::io::Write::write_all(&mut stream, &reply_with(200, &["Connection: close"], ""));
                stream.conn.send_close_notify();
                let _ = stream.conn.complete_io(&mut stream.sock);
                if sender.send(read).is_err() {
                    return;
                }
            }
        }
    });
    (address, receiver)
}

fn whole_request(stream: &mut impl std::io::Read) -> std::io::Result<Vec<u8>> {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        read.extend_from_slice(&buffer[..count]);
        let (requests, rest) = loadweaver_testkit::wire::requests_in(&read);
        if requests.len() == 1 && rest.is_ok() {
            return Ok(read);
        }
    }
}

fn secure(address: SocketAddr, ca_file: Option<PathBuf>) -> Webhook {
    let somewhere = Origin::answering("");
    Webhook { url: format!("https://localhost:{}/hook", address.port()), ca_file, ..hook(&somewhere) }
}

#[tokio::test]
async fn a_target_with_a_certificate_of_the_configured_authority_is_told() {
    let authority = Authority::new();
    let (address, received) = authority.server("localhost");
    let setting = Setting::new(&[secure(address, Some(authority.file.clone()))]);
    setting.bus.emit(reverted(1));
    setting.until("it is delivered", |view| view.delivered == 1).await;
    let read = received.try_recv().unwrap();
    let (requests, _) = loadweaver_testkit::wire::requests_in(&read);
    assert_eq!(versions(&requests), [1]);
    assert!(authority.folder.path().exists());
}

#[tokio::test]
async fn a_target_that_proves_nothing_is_told_nothing() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (unknown, read_unknown) = stranger.server("localhost");
    let (misnamed, read_misnamed) = authority.server("elsewhere.example");
    for (address, ca_file, read, words) in [
        (unknown, Some(authority.file.clone()), &read_unknown, "invalid peer certificate"),
        (unknown, None, &read_unknown, "invalid peer certificate"),
        (misnamed, Some(authority.file.clone()), &read_misnamed, "not valid for name"),
    ] {
        let setting = Setting::new(&[secure(address, ca_file)]);
        setting.bus.emit(reverted(1));
        setting.until("it failed", |view| view.last_error.is_some()).await;
        let error = setting.view().last_error.unwrap();
        assert!(error.contains(words), "{error}");
        assert!(read.try_recv().is_err());
    }
}

#[tokio::test]
async fn a_self_signed_target_is_told_when_its_certificate_is_named_and_is_a_servers() {
    for (authority, words) in
        [(rcgen::IsCa::ExplicitNoCa, None), (AN_AUTHORITY, Some("basicConstraints=CA:FALSE"))]
    {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.is_ca = authority;
        let certificate = params.self_signed(&key).unwrap();
        let folder = Scratch::new();
        let file = folder.file("own.pem", certificate.pem());
        let (address, _received) = serve(&certificate, &key);
        let setting = Setting::new(&[secure(address, Some(file))]);
        setting.bus.emit(reverted(1));
        setting.until("it was tried", |view| view.delivered == 1 || view.last_error.is_some()).await;
        let error = setting.view().last_error;
        assert_eq!(error.is_some(), words.is_some(), "{error:?}");
        assert!(words.is_none_or(|words| error.as_ref().unwrap().contains(words)), "{error:?}");
    }
}
