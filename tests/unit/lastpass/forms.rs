//! Tests which bodies are a response to which command, and how other bodies are classified.

use super::{Error, answers::Answers, time::ApiZone};

/// The classification of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// A response with this many records.
    Records(usize),
    Throttled,
    Unauthorized,
    Refused,
    BadAnswer,
}

use Outcome::{BadAnswer, Records, Refused, Throttled, Unauthorized};

fn outcome(records: Result<usize, Error>) -> Outcome {
    match records {
        Ok(count) => Records(count),
        Err(Error::Unauthorized { .. }) => Unauthorized,
        Err(Error::Refused { .. }) => Refused,
        Err(error) if error.error_type() == "LastPass.Throttled" => Throttled,
        Err(error) => {
            assert_eq!(error.error_type(), "LastPass.BadAnswer", "{error}");
            BadAnswer
        }
    }
}

/// Classifies a body with this status as the response to `reporting`, `getuserdata` and `getdetailedsfdata`.
fn outcomes(status: u16, body: &[u8]) -> [Outcome; 3] {
    let zone = ApiZone::new("US/Eastern").expect("a zone");
    let answers = Answers::default();
    [
        outcome(answers.events((status, body), &zone).map(|page| page.events.len())),
        outcome(answers.users((status, body)).map(|page| page.entries.len())),
        outcome(answers.folders((status, body)).map(|page| page.entries.len())),
    ]
}

const NONE: [Outcome; 3] = [BadAnswer; 3];
const EVENTS: fn(usize) -> [Outcome; 3] = |count| [Records(count), BadAnswer, BadAnswer];
const USERS: fn(usize) -> [Outcome; 3] = |count| [BadAnswer, Records(count), BadAnswer];
const FOLDERS: fn(usize) -> [Outcome; 3] = |count| [BadAnswer, BadAnswer, Records(count)];

#[test]
fn each_command_accepts_only_the_form_of_its_own_answer() {
    let table: &[(&str, [Outcome; 3])] = &[
        // An empty body, or a body that is not an object.
        ("", NONE),
        (" \r\n\t", NONE),
        ("null", NONE),
        ("true", NONE),
        ("0", NONE),
        ("OK", NONE),
        ("\"OK\"", NONE),
        ("[]", FOLDERS(0)),
        ("{}", FOLDERS(0)),
        ("[1]", NONE),
        ("[[]]", NONE),
        (r#"[{"Time":"2025-07-17 09:51:51"}]"#, NONE),
        (r#"[{"sharedfoldername":"F"}]"#, NONE),
        // A status without records.
        (r#"{"status":"OK"}"#, NONE),
        (r#"{"status":"OK","next":null}"#, NONE),
        (r#"{"status":"success","total":0,"count":0}"#, NONE),
        (r#"{"ok":true}"#, NONE),
        (r#"{"status":"WARN"}"#, NONE),
        (r#"{"status":"WARN","errors":["one of two servers is away"]}"#, [Refused; 3]),
        (r#"{"status":"WARN","errors":{"a":{"b":"one of two servers is away"}}}"#, [Refused; 3]),
        (r#"{"status":"WARN","errors":[]}"#, NONE),
        (r#"{"status":"FAIL"}"#, [Refused; 3]),
        (r#"{"status":false}"#, [Refused; 3]),
        (r#"{"Status":"Fail","Errors":["no such command"]}"#, [Refused; 3]),
        // The field `data` of the event report.
        (r#"{"status":"OK","data":[]}"#, EVENTS(0)),
        (r#"{"status":"OK","next":null,"data":{}}"#, EVENTS(0)),
        (r#"{"data":[]}"#, EVENTS(0)),
        (r#"{"status":"OK","data":null}"#, EVENTS(0)),
        (r#"{"status":"Success","next":"","data":null}"#, EVENTS(0)),
        (r#"{"data":null}"#, NONE),
        (r#"{"status":"WARN","data":null}"#, NONE),
        (r#"{"status":"OK","data":""}"#, NONE),
        (r#"{"status":"OK","data":"none"}"#, NONE),
        (r#"{"status":"OK","data":0}"#, NONE),
        (r#"{"status":"OK","data":1.5}"#, NONE),
        (r#"{"status":"OK","data":-7}"#, NONE),
        (r#"{"status":"OK","data":false}"#, NONE),
        (r#"{"status":"OK","data":true}"#, NONE),
        (r#"{"status":"OK","events":[{"Time":"2025-07-17 09:51:51"}]}"#, NONE),
        (r#"{"status":"OK","Data":[{"Time":"2025-07-17 09:51:51"}]}"#, NONE),
        (r#"{"status":"OK","data":{"Event1":{"Time":"2025-07-17 09:51:51"}}}"#, EVENTS(1)),
        (r#"{"status":"OK","data":{"Event1":"x","Event2":[]}}"#, EVENTS(2)),
        (r#"{"status":"OK","data":[null,1,"x"]}"#, EVENTS(3)),
        (r#"{"status":"OK","data":[{"Time":"x"}],"data":[]}"#, NONE),
        (r#"{"status":"OK","data":[{"Time":"x"}],"data":null}"#, NONE),
        (r#"{"data":{"from":"2025-07-17 09:51:51","to":"2025-07-17 09:51:52","user":"allusers"}}"#, NONE),
        (r#"{"status":"OK","data":{"error":"Too many requests"}}"#, [Throttled; 3]),
        (r#"{"status":"OK","data":{"status":"FAIL","error":"Authorization Error"}}"#, [Unauthorized; 3]),
        // Errors beside records.
        (r#"{"status":"OK","errors":[],"error":"","data":{"Event1":{}}}"#, EVENTS(1)),
        (r#"{"status":"OK","next":null,"error":false,"data":[]}"#, EVENTS(0)),
        (r#"{"status":"OK","errors":0,"error":"0","data":[]}"#, EVENTS(0)),
        (r#"{"status":"OK","error":{"code":0,"message":"no"},"data":[]}"#, [Refused; 3]),
        (r#"{"status":"WARN","errors":["one of two servers is away"],"data":[{}]}"#, [Records(1), Refused, Refused]),
        (r#"{"status":"WARN","errors":["one of two servers is away"],"data":[]}"#, [Refused; 3]),
        (r#"{"status":"OK","error":"Too many requests","data":{}}"#, [Throttled; 3]),
        (r#"{"status":"FAIL","error":"no","data":{"Event1":{}},"Users":{"7":{}}}"#, [Refused; 3]),
        (r#"{"Succeeded":false,"Message":"no","data":[{}],"Users":[{}]}"#, [Refused; 3]),
        (r#"{"errors":["Rate limit exceeded"],"total":0,"count":0,"Users":[]}"#, [Throttled; 3]),
        (r#"{"101":{"sharedfoldername":"F"},"error":"Too many requests"}"#, [Throttled; 3]),
        (r#"{"101":{"sharedfoldername":"F"},"errors":["one of two servers is away"]}"#, [Refused; 3]),
        // The field `Users`.
        (r#"{"total":0,"count":0}"#, NONE),
        (r#"{"total":0,"count":0,"Users":[]}"#, USERS(0)),
        (r#"{"total":"0","count":"0","Users":{},"Groups":[],"Invited":[]}"#, USERS(0)),
        (r#"{"total":0,"count":0,"Users":null}"#, USERS(0)),
        (r#"{"Users":null}"#, NONE),
        (r#"{"total":2,"count":2,"Users":null}"#, NONE),
        (r#"{"total":2,"count":0,"Users":[]}"#, NONE),
        (r#"{"Users":[]}"#, USERS(0)),
        (r#"{"Users":"x"}"#, NONE),
        (r#"{"Users":7}"#, NONE),
        (r#"{"users":{"7":{"username":"a"}}}"#, NONE),
        (r#"{"total":1,"count":1,"Users":{"7":{"username":"a"}},"Users":{}}"#, NONE),
        (r#"{"total":1,"count":1,"Users":{"7":{"username":"a"}},"Groups":{"G":["a"]}}"#, USERS(1)),
        (r#"{"total":2,"Users":[{"username":"a"},{"username":"b"}]}"#, USERS(2)),
        (r#"{"status":"WARN","errors":["x"],"Users":{"7":{"username":"a"}}}"#, [Refused, Records(1), Refused]),
        // Shared folders.
        (r#"{"101":{"sharedfoldername":"F"}}"#, FOLDERS(1)),
        (r#"{"101":{"users":[]},"102":{"users":{"0":{"username":"a"}}},"103":{"score":"9"}}"#, FOLDERS(3)),
        (r#"{"101":{"sharedfoldername":null,"deleted":0}}"#, FOLDERS(1)),
        (r#"{"status":"success","total":1,"count":"1","errors":[],"101":{"sharedfoldername":"F"}}"#, FOLDERS(1)),
        (r#"{"101":{"sharedfoldername":"F"},"102":null}"#, NONE),
        (r#"{"101":{"sharedfoldername":"F"},"102":"gone"}"#, NONE),
        (r#"{"101":{"sharedfoldername":"F"},"102":5}"#, NONE),
        (r#"{"101":{"sharedfoldername":"F"},"102":[]}"#, NONE),
        (r#"{"101":{"sharedfoldername":"F"},"102":{}}"#, NONE),
        (r#"{"101":{"sharedfoldername":"F"},"102":{"name":"F"}}"#, NONE),
        (r#"{"101":{"SharedFolderName":"F"}}"#, NONE),
        // Messages of another LastPass API or of a gateway.
        (r#"{"error":"Too many requests"}"#, [Throttled; 3]),
        (r#"{"error":{"code":429}}"#, [Throttled; 3]),
        (r#"{"status":"FAIL","errors":["You have exceeded the rate limit of your account number"]}"#, [Throttled; 3]),
        (r#"{"message":"Too Many Requests"}"#, [Throttled; 3]),
        (r#"{"Succeeded":false,"Message":"The request was throttled"}"#, [Throttled; 3]),
        (r#"{"message":"Internal server error"}"#, NONE),
        (r#"{"error":"maintenance"}"#, [Refused; 3]),
        (r#"{"error":""}"#, NONE),
        (r#"{"Succeeded":false,"Message":"no such command"}"#, [Refused; 3]),
        (r#"{"success":0,"message":"no such command"}"#, [Refused; 3]),
        (r#"{"Succeeded":false,"Message":"Invalid provisioning hash"}"#, [Unauthorized; 3]),
        (r#"{"message":"Authorization Error"}"#, [Unauthorized; 3]),
        (r#"{"error":{"code":401,"text":"Not authorized"}}"#, [Unauthorized; 3]),
        (r#"{"rc":"Authorization Error"}"#, [Unauthorized; 3]),
        (r#"{"lastpass":{"@rc":"Authorization Error"}}"#, [Unauthorized; 3]),
        // Bodies that are truncated, duplicated or followed by other text.
        (r#"{"status":"OK","data":{"Event1":{"Time":"2025"#, NONE),
        (r#"{"status":"OK","data":[]"#, NONE),
        (r#"{"status":"OK","data":[]}{"status":"OK","data":[]}"#, NONE),
        (r#"{"total":0,"count":0,"Users":[]} <br />"#, NONE),
        ("[]x", NONE),
        ("{}{}", NONE),
        ("\u{feff}{\"status\":\"OK\",\"data\":[{}]}", EVENTS(1)),
        ("\u{feff}\r\n[]", FOLDERS(0)),
        (" \u{feff}{\"Users\":{\"7\":{}}}", USERS(1)),
        // Texts and markup.
        ("Authorization Error", [Unauthorized; 3]),
        ("\"Authorization Error\"", [Unauthorized; 3]),
        ("Too many requests", [Throttled; 3]),
        ("Proxy authorization required", NONE),
        ("<html><body>Too many requests</body></html>", NONE),
        ("<lastpass rc=\"Too many requests\"/>", [Throttled; 3]),
        ("<lastpass rc=\"no such command\"/>", [Refused; 3]),
        ("<lastpass rc=\"OK\"/>", NONE),
        ("<feed><author>Ann</author></feed>", NONE),
    ];
    let wrong: Vec<_> = table
        .iter()
        .map(|(body, expected)| (body, *expected, outcomes(200, body.as_bytes())))
        .filter(|(_, expected, found)| expected != found)
        .map(|(body, expected, found)| format!("{body}\n    {expected:?}, not {found:?}"))
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), table.len(), wrong.join("\n"));
}

#[test]
fn a_refusal_is_recognized_in_every_spelling_of_xml() {
    for body in [
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<lastpass rc=\"Authorization Error\"/>",
        "<lastpass rc=\"Authorization Error\"/>",
        "<lastpass rc='Authorization Error'></lastpass>",
        "<lastpass rc = 'Authorization Error' />",
        "<lastpass version=\"1\" rc=\"Authorization Error\" time='now'/>",
        "\u{feff}<?xml version='1.0'?><lastpass rc=\"Authorization Error\"/>",
        " \r\n\t<?XML VERSION=\"1.0\"?>\r\n<LASTPASS RC=\"AUTHORIZATION ERROR\"/>",
        "<!-- <html> --><lastpass rc=\"authorization error\"/>",
        "<?xml version=\"1.0\"?><!DOCTYPE lastpass SYSTEM \"x.dtd\"><lastpass rc=\"Authorization Error\"/>",
        "<lp:lastpass xmlns:lp=\"urn:x\" lp:rc=\"Authorization Error\"/>",
        "<response><lastpass rc=\"Authorization Error\"/></response>",
        "<response>\n  <error message=\"Authorization Error\"/></response>",
        "<error>Authorization Error</error>",
        "<Error><![CDATA[Not authorised]]></Error>",
        "<lastpass><rc>Authorization Error</rc></lastpass>",
        "<lastpass rc=\"Invalid hash\"/>",
        "<lastpass rc=\"unknowncid\"/>",
        "<lastpass rc=\"Authorization&#32;Error\" note=\"a > b\"/>",
        "<result><message>Invalid provisioning hash</message></result>",
        "<lastpass rc=\"Authorization Error\">",
    ] {
        assert_eq!(outcomes(200, body.as_bytes()), [Unauthorized; 3], "{body}");
        // The status does not matter if the message is LastPass's own.
        assert_eq!(outcomes(403, body.as_bytes()), [Unauthorized; 3], "{body}");
        assert_eq!(outcomes(400, body.as_bytes()), [Unauthorized; 3], "{body}");
    }
    let utf16 = |body: &str, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
        "\u{feff}".encode_utf16().chain(body.encode_utf16()).flat_map(bytes).collect()
    };
    let refusal = "<?xml version=\"1.0\" encoding=\"UTF-16\"?><lastpass rc=\"Authorization Error\"/>";
    for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
        assert_eq!(outcomes(200, &utf16(refusal, bytes)), [Unauthorized; 3]);
    }
}

#[test]
fn a_web_page_is_never_a_refusal_whatever_its_text() {
    let zone = ApiZone::new("US/Eastern").expect("a zone");
    for body in [
        "<html><head><title>Authorization Error</title></head></html>",
        "<!DOCTYPE html><html lang='en'><body>Authorization Error</body></html>",
        "<!doctype HTML PUBLIC '-//W3C//DTD HTML 4.01//EN'>\n<HTML><BODY>authorization</BODY></HTML>",
        "\u{feff}<HTML><body>Authorization Error</body></HTML>",
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE html><html xmlns=\"http://www.w3.org/1999/xhtml\"><body rc=\"Authorization Error\"/></html>",
        "<?xml version=\"1.0\"?><html xmlns=\"http://www.w3.org/1999/xhtml\"><body>Authorization Error</body></html>",
        "<!-- Authorization Error --><html></html>",
        "<html><body><lastpass rc=\"Authorization Error\"/></body></html>",
        "<head><title>401 Authorization Required</title></head>",
        "<body>Authorization Error</body>",
        "<h1>Authorization Error</h1>",
        "<center>Not authorized</center>",
        "<p>We'll be back soon</p>",
    ] {
        assert_eq!(outcomes(200, body.as_bytes()), NONE, "{body}");
        let error = Answers::default().events((200, body.as_bytes()), &zone).expect_err(body).to_string();
        assert!(error.contains("it is an HTML page"), "{error}");
    }
}

#[test]
fn a_403_without_a_response_of_the_api_counts_as_throttling() {
    let zone = ApiZone::new("US/Eastern").expect("a zone");
    let page = "<HTML><HEAD><TITLE>Access Denied</TITLE></HEAD><BODY><H1>Access Denied</H1>You don't have permission to access this server. Reference #18.2d</BODY></HTML>";
    for body in [
        page,
        "",
        "Access Denied",
        "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>",
        r#"{"message":"Forbidden"}"#,
        r#"{"status":"OK","data":[]}"#,
        "[]",
    ] {
        assert_eq!(outcomes(403, body.as_bytes()), [Throttled; 3], "{body}");
    }
    let error = Answers::default().events((403, page.as_bytes()), &zone).expect_err("a page").to_string();
    for words in ["HTTP 403", "rate", "IP restriction", "`provisioning_hash`"] {
        assert!(error.contains(words), "{words}: {error}");
    }
    for body in [r#"{"status":"FAIL","errors":["Authorization Error"]}"#, "Authorization Error"] {
        assert_eq!(outcomes(403, body.as_bytes()), [Unauthorized; 3], "{body}");
    }
    assert_eq!(outcomes(401, b""), [Unauthorized; 3]);
}

#[test]
fn a_lone_surrogate_does_not_make_a_page_unreadable() {
    let zone = ApiZone::new("US/Eastern").expect("a zone");
    let event = r#"{"Time":"2025-07-17 09:51:51","Username":"\ud83d","\uDC00":1}"#;
    let body = format!(r#"{{"status":"OK","\ud83d":1,"data":{{"Event\udc00":{event},"Event2":{event}}}}}"#);
    let page = Answers::default().events((200, body.as_bytes()), &zone).expect("a page");
    assert_eq!(page.events.iter().map(|event| event.record.as_str()).collect::<Vec<_>>(), [event; 2]);
    assert!(page.events.iter().all(|event| event.time.is_some()), "{page:?}");
    let body = r#"{"status":"OK","data":[{"Time":"2025-07-17 09:51:5\ud83d"}]}"#;
    let page = Answers::default().events((200, body.as_bytes()), &zone).expect("a page");
    assert!(page.events[0].time.is_none(), "{page:?}");
    let body = r#"{"status":"OK","next":"\ud83d","data":[]}"#;
    assert!(Answers::default().events((200, body.as_bytes()), &zone).is_err(), "an unreadable `next` is not the end");

    let body = r#"{"total":2,"count":2,"Users":{"\ud83d":{"username":"\ud83d"},"\uDE00":{}},"Groups":{"\ud83d":[]}}"#;
    let users = Answers::default().users((200, body.as_bytes())).expect("a page").entries;
    assert_eq!(users.len(), 2);
    assert_ne!(users[0].0, users[1].0);
    assert_eq!(users[0].1, r#"{"username":"\ud83d"}"#);
    let body = r#"{"\ud83d":{"sharedfoldername":"\ud83d","users":[]}}"#;
    assert_eq!(Answers::default().folders((200, body.as_bytes())).expect("a page").entries.len(), 1);
}
