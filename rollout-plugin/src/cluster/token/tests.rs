//! Tokens that are renewed, withdrawn, and not to be read.

use std::sync::Mutex;

use super::*;

/// A file of this test alone; gone with it.
struct File(PathBuf);

impl File {
    fn new(name: &str, content: &str) -> Self {
        let name = format!("serin-token-{name}-{}", std::process::id());
        let file = Self(std::env::temp_dir().join(name));
        file.write(content);
        file
    }

    fn write(&self, content: &str) {
        fs::write(&self.0, content).unwrap();
    }

    fn open(&self) -> Arc<FileToken> {
        Arc::new(FileToken::open(self.0.clone()).unwrap())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// What a server that takes `valid` alone answers to one request, and the tokens that it has seen.
async fn ask(token: &Arc<FileToken>, valid: &'static str) -> (StatusCode, Vec<String>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let seen_by = Arc::clone(&seen);
    let server = service_fn(move |request: Request<Body>| {
        let seen = Arc::clone(&seen_by);
        async move {
            let header = request.headers().get(AUTHORIZATION).unwrap();
            let token = header.to_str().unwrap().to_owned();
            let body = request.into_body().collect_bytes().await?;
            assert_eq!(&*body, b"body");
            let status = if token == valid {
                StatusCode::OK
            } else {
                StatusCode::UNAUTHORIZED
            };
            seen.lock().unwrap().push(token);
            let mut answer = Response::new(());
            *answer.status_mut() = status;
            Ok::<_, BoxError>(answer)
        }
    });
    let request = Request::post("https://server/path")
        .body(Body::from(b"body".to_vec()))
        .unwrap();
    let asked = authenticated(server, Some(Arc::clone(token)));
    let status = asked.oneshot(request).await.unwrap().status();
    let seen = seen.lock().unwrap().clone();
    (status, seen)
}

#[tokio::test]
async fn a_token_that_is_refused_is_read_again_and_the_request_sent_again() {
    let file = File::new("refused", "one");
    let token = file.open();
    assert_eq!(
        ask(&token, "Bearer one").await,
        (StatusCode::OK, vec!["Bearer one".to_owned()])
    );
    file.write("two");
    let both = vec!["Bearer one".to_owned(), "Bearer two".to_owned()];
    assert_eq!(ask(&token, "Bearer two").await, (StatusCode::OK, both));
    // From then on the new one is sent at once.
    let new = vec!["Bearer two".to_owned()];
    assert_eq!(ask(&token, "Bearer two").await, (StatusCode::OK, new));
}

#[tokio::test]
async fn without_another_token_the_refusal_is_the_answer() {
    let file = File::new("same", "one");
    let token = file.open();
    let once = (StatusCode::UNAUTHORIZED, vec!["Bearer one".to_owned()]);
    assert_eq!(ask(&token, "Bearer two").await, once);
    fs::remove_file(&file.0).unwrap();
    assert_eq!(ask(&token, "Bearer two").await, once);
    // A new one that is refused too is tried once.
    file.write("three");
    let both = vec!["Bearer one".to_owned(), "Bearer three".to_owned()];
    assert_eq!(
        ask(&token, "Bearer two").await,
        (StatusCode::UNAUTHORIZED, both)
    );
}

#[test]
fn a_new_token_is_used_within_a_minute_and_the_last_one_while_there_is_no_other() {
    let file = File::new("renewed", "one\n");
    let token = file.open();
    let began = Instant::now();
    file.write("two");
    assert_eq!(token.at(began), "Bearer one");
    let later = began + Duration::from_mins(1);
    assert_eq!(token.at(later), "Bearer two");
    for none in ["", "\n", "t\u{0}\n"] {
        file.write(none);
        assert_eq!(token.at(later + Duration::from_mins(1)), "Bearer two");
    }
}

#[test]
fn a_file_without_a_token_is_an_error_that_names_it() {
    let file = File::new("empty", " \n");
    let error = FileToken::open(file.0.clone()).unwrap_err();
    let text = argo_rollouts::go_plugin::Chain(&error).to_string();
    assert!(text.contains(&*file.0.to_string_lossy()), "{text}");
    assert!(text.contains("found no token"), "{text}");
}

#[test]
fn a_file_goes_before_a_token_and_after_a_user() {
    let file = File::new("before", "one");
    let mut config = Config::new(http::Uri::from_static("https://server"));
    assert!(FileToken::take(&mut config).unwrap().is_none());
    config.auth_info.token_file = Some(file.0.display().to_string());
    config.auth_info.token = Some("inline".to_owned().into());
    let token = FileToken::take(&mut config).unwrap().unwrap();
    assert_eq!(token.at(Instant::now()), "Bearer one");
    // kube would add its own otherwise.
    assert!(config.auth_info.token.is_none() && config.auth_info.token_file.is_none());
    config.auth_info.token_file = Some(file.0.display().to_string());
    config.auth_info.username = Some("user".to_owned());
    assert!(FileToken::take(&mut config).unwrap().is_none());
}
