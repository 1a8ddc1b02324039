//! The load client against the echo.

use std::net::{Ipv4Addr, SocketAddr};

use super::*;
use crate::echo::{Echo, Identity};

fn identity() -> Identity {
    Identity {
        pod: "web-1".to_owned(),
        namespace: "shop".to_owned(),
        app: "web".to_owned(),
        image: "web:1".to_owned(),
        hash: Some("abc".to_owned()),
    }
}

fn stream(target: SocketAddr) -> Stream {
    Stream {
        target,
        authority: "web.shop".to_owned(),
        path: "/list?page=1".to_owned(),
        method: Method::GET,
        headers: vec![("x-beta".to_owned(), "1".to_owned())],
        http2: false,
        users: None,
        front: None,
        rate: 200,
        connections: 2,
        timeout: Duration::from_secs(20),
    }
}

fn collect() -> (Sink, Arc<Mutex<Vec<Sample>>>) {
    let samples = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&samples);
    (
        Arc::new(move |sample| into.lock().unwrap().push(sample)),
        samples,
    )
}

async fn until(samples: &Mutex<Vec<Sample>>, count: usize) {
    while samples.lock().unwrap().len() < count {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

#[tokio::test]
async fn every_request_is_answered_and_seen_once() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&seen);
    let observer: crate::echo::Observer = Arc::new(move |request| {
        let header = request
            .headers
            .get("x-beta")
            .map(|value| value.to_str().unwrap().to_owned());
        into.lock()
            .unwrap()
            .push((request.path.to_owned(), request.copy, header));
    });
    let echo = Echo::start(identity(), &[ANY], observer).await.unwrap();
    let (sink, samples) = collect();
    let load = Load::start(stream(echo.addresses()[0]), &sink);
    until(&samples, 20).await;
    load.stop().await;
    echo.stop().await;

    let samples = samples.lock().unwrap();
    for sample in samples.iter() {
        assert_eq!(sample.outcome.as_deref().unwrap().identity, identity());
    }
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), samples.len());
    let expected = ("/list?page=1".to_owned(), false, Some("1".to_owned()));
    assert!(seen.iter().all(|request| *request == expected), "{seen:?}");
}

#[tokio::test]
async fn a_graceful_stop_loses_no_request() {
    let observer: crate::echo::Observer = Arc::new(|_| {});
    let echo = Echo::start(identity(), &[ANY], Arc::clone(&observer))
        .await
        .unwrap();
    let address = echo.addresses()[0];
    let (sink, samples) = collect();
    let load = Load::start(stream(address), &sink);
    until(&samples, 10).await;
    load.stop().await;
    echo.stop().await;
    assert!(
        samples
            .lock()
            .unwrap()
            .iter()
            .all(|sample| sample.outcome.is_ok())
    );

    // The port is free again: nothing of the first is left.
    let again = Echo::start(identity(), &[address], observer).await.unwrap();
    again.stop().await;
}

#[tokio::test]
async fn a_refused_connection_is_a_failed_request() {
    let free = unused().await;
    let (sink, samples) = collect();
    let load = Load::start(stream(free), &sink);
    until(&samples, 2).await;
    load.stop().await;
    for sample in samples.lock().unwrap().iter() {
        assert!(
            matches!(sample.outcome, Err(RequestError::Connect { target, .. }) if target == free),
            "{:?}",
            sample.outcome
        );
    }
}

/// An address on which nobody listens.
async fn unused() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind(ANY).await.unwrap();
    listener.local_addr().unwrap()
}

#[tokio::test]
async fn users_take_turns_and_are_told_apart() {
    let observer: crate::echo::Observer = Arc::new(|_| {});
    let echo = Echo::start(identity(), &[ANY], observer).await.unwrap();
    let (sink, samples) = collect();
    let mut stream = stream(echo.addresses()[0]);
    stream.users = Some(Users {
        count: 3,
        header: "cookie".to_owned(),
        value: "session=user-{}".to_owned(),
        keep_cookies: false,
    });
    let load = Load::start(stream, &sink);
    until(&samples, 12).await;
    load.stop().await;
    let samples = samples.lock().unwrap();
    let mut counts = [0_usize; 3];
    for sample in samples.iter() {
        let user = sample.user.unwrap();
        counts[usize::try_from(user).unwrap()] += 1;
        let answer = sample.outcome.as_ref().unwrap();
        assert_eq!(answer.headers["cookie"], format!("session=user-{user}"));
    }
    let (least, most) = (counts.iter().min(), counts.iter().max());
    assert!(most.unwrap() - least.unwrap() <= 1, "{counts:?}");
}

#[tokio::test]
async fn an_application_in_front_forwards_one_header_and_not_the_user() {
    let observer: crate::echo::Observer = Arc::new(|_| {});
    let mut front = identity();
    front.app = "front".to_owned();
    let front = Echo::start(front, &[ANY], Arc::clone(&observer))
        .await
        .unwrap();
    let echo = Echo::start(identity(), &[ANY], observer).await.unwrap();
    let (sink, samples) = collect();
    let mut stream = stream(echo.addresses()[0]);
    // Stands for what a proxy would have added on the way to the application in front.
    stream.users = Some(Users {
        count: 1,
        header: "x-lanes".to_owned(),
        value: "user-{}".to_owned(),
        keep_cookies: false,
    });
    stream.front = Some(Front {
        target: front.addresses()[0],
        authority: "front.shop".to_owned(),
        forwards: "x-lanes".to_owned(),
    });
    let load = Load::start(stream.clone(), &sink);
    until(&samples, 3).await;
    load.stop().await;
    stream.users.as_mut().unwrap().header = "x-user".to_owned();
    let before = samples.lock().unwrap().len();
    let load = Load::start(stream, &sink);
    until(&samples, before + 3).await;
    load.stop().await;
    let samples = samples.lock().unwrap();
    for (number, sample) in samples.iter().enumerate() {
        let answer = sample.outcome.as_ref().unwrap();
        assert_eq!(answer.identity.app, "web");
        assert_eq!(answer.headers["host"], "web.shop");
        assert_eq!(answer.headers["x-beta"], "1");
        let forwarded = answer.headers.get("x-lanes").map(String::as_str);
        assert_eq!(forwarded, (number < before).then_some("user-0"));
        assert_eq!(answer.headers.get("x-user"), None);
    }
}

#[tokio::test]
async fn http2_is_begun_without_asking() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&seen);
    let observer: crate::echo::Observer =
        Arc::new(move |request| into.lock().unwrap().push(request.authority.to_owned()));
    let echo = Echo::start(identity(), &[ANY], observer).await.unwrap();
    let (sink, samples) = collect();
    let mut stream = stream(echo.addresses()[0]);
    stream.http2 = true;
    let load = Load::start(stream, &sink);
    until(&samples, 4).await;
    load.stop().await;
    echo.stop().await;
    let samples = samples.lock().unwrap();
    for sample in samples.iter() {
        let answer = sample.outcome.as_ref().unwrap();
        assert!(answer.http2);
        assert_eq!(answer.path, "/list?page=1");
    }
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), samples.len());
    assert!(seen.iter().all(|one| one == "web.shop"), "{seen:?}");
}

#[test]
fn cookies_are_kept_by_user_and_name() {
    let jars = Jars::default();
    let keep = |user, cookies: &[&str]| {
        let cookies: Vec<String> = cookies.iter().map(|&one| one.to_owned()).collect();
        jars.keep(user, &cookies);
    };
    keep(0, &[]);
    assert_eq!(jars.of(0), None);
    keep(0, &["user=a; Path=/; HttpOnly", "theme=dark"]);
    keep(1, &["user=b"]);
    keep(0, &["user=c"]);
    assert_eq!(jars.of(0).unwrap(), "theme=dark; user=c");
    assert_eq!(jars.of(1).unwrap(), "user=b");
}
