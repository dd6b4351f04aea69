//! The page that `GET /` serves: a SIP user agent for trying things out, all in the binary.

use ws_core::{Request, Response};

/// A file of the page.
struct File {
    path: &'static str,
    kind: &'static str,
    content: &'static [u8],
}

const FILES: &[File] = &[
    File { path: "/", kind: "text/html; charset=utf-8", content: include_bytes!("../../page/index.html") },
    File {
        path: "/style.css",
        kind: "text/css; charset=utf-8",
        content: include_bytes!("../../page/style.css"),
    },
    File { path: "/page.js", kind: SCRIPT, content: include_bytes!("../../page/page.js") },
    File { path: "/sip.js", kind: SCRIPT, content: include_bytes!("../../page/sip.js") },
    File { path: "/message.js", kind: SCRIPT, content: include_bytes!("../../page/message.js") },
    File { path: "/call.js", kind: SCRIPT, content: include_bytes!("../../page/call.js") },
    File { path: "/icon.svg", kind: "image/svg+xml", content: include_bytes!("../../page/icon.svg") },
];

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Nothing but our own files, and flows to where they came from.
const POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; media-src 'self' blob: mediastream:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Answers a plain HTTP request.
pub(crate) fn respond(request: &Request) -> Response {
    let Some(file) = FILES.iter().find(|file| file.path == request.path()) else {
        return Response::new(404);
    };
    let mut response = Response::new(200);
    for (name, value) in [
        ("Content-Type", file.kind),
        ("Content-Security-Policy", POLICY),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Cache-Control", "no-cache"),
    ] {
        // Each name and value above is well-formed.
        let _ = response.headers.push(name, value);
    }
    response.body = file.content.into();
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_file_names_is_served() {
        for file in FILES {
            let text = core::str::from_utf8(file.content).unwrap();
            for (_, rest) in text.match_indices("from './").map(|(at, found)| text.split_at(at + found.len()))
            {
                let name = rest.split('\'').next().unwrap();
                assert!(FILES.iter().any(|file| file.path[1..] == *name), "{} needs {name}", file.path);
            }
        }
        let page = core::str::from_utf8(FILES[0].content).unwrap();
        for attribute in ["src=\"", "href=\""] {
            for part in page.split(attribute).skip(1) {
                let name = part.split('"').next().unwrap();
                assert!(FILES.iter().any(|file| file.path[1..] == *name), "the page needs {name}");
            }
        }
    }
}
