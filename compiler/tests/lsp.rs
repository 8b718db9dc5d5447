//! `vsrc lsp` as an editor sees it: the binary is started, and spoken to over its standard input and output.

#[path = "lsp/client.rs"]
mod client;
use client::Client;
use serde_json::{Value, json};

const PARTS: &str = "\
## A convolution that halves.
block Halve(out: int, gain: float = 1)(x: [B, C, H, W]) -> [B, out, H/2, W/2] {
  x |> Conv2d(out, stride=2, gain=gain) @conv |> silu
}
";

const NET: &str = "\
use Halve from \"parts.vsr\"

model Net(ch: int = 16)(x: [B, 3, H, W]) -> [B, ch, H/2, W/2] {
  h = x |> Halve(ch, gain=2) @down
  g[b, c, i, j] = h[b, c, i, j]*2
  g + h
}

profile tile { B = 2  H = 32  W = 48 }
";

fn opened() -> Client {
    let mut client = Client::start();
    client.open("parts.vsr", PARTS);
    client.open("net.vsr", NET);
    client.diagnostics("net.vsr", 0);
    client
}

#[test]
fn problems_come_as_one_types_and_go_again() {
    let mut client = Client::start();
    client.open("parts.vsr", PARTS);
    client.open(
        "net.vsr",
        &NET.replace("gain=2", "gian=2")
            .replace("@down", "@down |> sigmod"),
    );
    let found = client.diagnostics("net.vsr", 2);
    let messages: Vec<&str> = found
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|d| d["message"].as_str())
        .collect();
    assert_eq!(messages.len(), 2, "{found}");
    assert_eq!(
        messages[0],
        "Halve has no parameter `gian`\nhelp: did you mean `gain`?"
    );
    assert_eq!(found[0]["code"], "param");
    assert_eq!(
        found[0]["range"]["start"],
        json!({ "line": 3, "character": 21 })
    );
    assert!(messages[1].starts_with("no op or layer `sigmod`"));

    // The proposal is one edit away.
    let range = found[0]["range"].clone();
    let actions = client.ask(
        "textDocument/codeAction",
        "net.vsr",
        json!({ "range": range, "context": { "diagnostics": [] } }),
    );
    assert_eq!(
        actions[0]["edit"]["documentChanges"][0]["edits"][0]["newText"],
        "gain"
    );

    client.change("net.vsr", NET);
    client.diagnostics("net.vsr", 0);

    // An error in a file that is used is told under that file's own name, and only there.
    client.change("parts.vsr", &PARTS.replace("stride=2", "stride="));
    let found = client.diagnostics("parts.vsr", 1);
    assert_eq!(found[0]["code"], "syntax");
    client.stop();
}

#[test]
fn hover_tells_shapes_costs_and_documents() {
    let mut client = opened();
    let hover = |client: &mut Client, line, character| {
        let answer = client.at("textDocument/hover", "net.vsr", line, character);
        answer["contents"]["value"]
            .as_str()
            .unwrap_or("")
            .to_string()
    };
    let value = hover(&mut client, 3, 2);
    assert!(
        value.contains("h: [B, 16, H/2, W/2] = [2, 16, 16, 24]"),
        "{value}"
    );
    assert!(value.contains("profile `tile`"), "{value}");
    let block = hover(&mut client, 3, 13);
    assert!(
        block.contains("block Halve(out: int, gain: float = 1)(x: [B, C, H, W])"),
        "{block}"
    );
    assert!(block.contains("A convolution that halves."), "{block}");
    assert!(block.contains("448 parameters"), "{block}");
    assert!(block.contains("FLOP"), "{block}");
    let argument = hover(&mut client, 3, 22);
    assert!(argument.contains("gain: float = 1"), "{argument}");
    let parameter = hover(&mut client, 2, 11);
    assert!(parameter.contains("16"), "{parameter}");
    let index = hover(&mut client, 4, 4);
    assert!(index.contains("`b` is an index"), "{index}");
    client.stop();
}

#[test]
fn definitions_are_found_in_all_files() {
    let mut client = opened();
    let local = client.at("textDocument/definition", "net.vsr", 5, 2);
    assert_eq!(
        local["range"]["start"],
        json!({ "line": 4, "character": 2 })
    );
    let block = client.at("textDocument/definition", "net.vsr", 3, 13);
    assert_eq!(block["uri"], client.uri("parts.vsr"));
    assert_eq!(
        block["range"]["start"],
        json!({ "line": 1, "character": 6 })
    );
    let input = client.at("textDocument/definition", "net.vsr", 3, 23);
    assert_eq!(
        input["range"]["start"],
        json!({ "line": 1, "character": 22 })
    );
    let library = client.at("textDocument/definition", "parts.vsr", 2, 9);
    let path = library["uri"]
        .as_str()
        .and_then(|uri| uri.strip_prefix("file://"))
        .expect("a file");
    let text = std::fs::read_to_string(path).expect("the library's file can be read");
    let line = library["range"]["start"]["line"].as_u64().expect("a line") as usize;
    assert!(
        text.lines()
            .nth(line)
            .is_some_and(|line| line.starts_with("block Conv2d(")),
        "{library}"
    );
    client.stop();
}

#[test]
fn completion_knows_where_it_stands() {
    let mut client = opened();
    // A half-written line, as one types.
    let text = NET.replace("  g + h\n", "  g |> \n  Halve(ch, \n  x |> Halve(8) @do\n");
    client.change("net.vsr", &text);
    let labels = |client: &mut Client, line, character| -> Vec<String> {
        let answer = client.at("textDocument/completion", "net.vsr", line, character);
        let items = answer.as_array().expect("a list").iter();
        items
            .filter_map(|item| item["label"].as_str().map(str::to_string))
            .collect()
    };
    let has = |found: &[String], name: &str| found.iter().any(|label| label == name);
    let stage = labels(&mut client, 5, 7);
    assert!(
        has(&stage, "silu") && has(&stage, "Conv2d") && has(&stage, "Halve"),
        "{stage:?}"
    );
    assert!(!has(&stage, "h"), "a stage is no value");
    let argument = labels(&mut client, 6, 12);
    assert!(
        has(&argument, "gain=") && has(&argument, "h") && has(&argument, "ch"),
        "{argument:?}"
    );
    let label = labels(&mut client, 7, 19);
    assert!(has(&label, "down"), "{label:?}");
    client.stop();
}

#[test]
fn renaming_reaches_all_uses_and_refuses_what_would_change_meaning() {
    let mut client = opened();
    let edits = |answer: &Value, uri: &Value| -> Vec<Value> {
        let changes = answer["documentChanges"]
            .as_array()
            .expect("changes")
            .iter();
        let own = changes.filter(|change| change["textDocument"]["uri"] == *uri);
        own.flat_map(|change| change["edits"].as_array().expect("edits").clone())
            .collect()
    };
    let (net, parts) = (client.uri("net.vsr"), client.uri("parts.vsr"));
    let local = client
        .rename("net.vsr", 3, 2, "half")
        .expect("a local name changes");
    assert_eq!(edits(&local, &net).len(), 3, "{local}");
    let index = client
        .rename("net.vsr", 4, 4, "n")
        .expect("an index changes");
    assert_eq!(edits(&index, &net).len(), 2, "{index}");
    // The block, where it is defined, imported and used.
    let block = client
        .rename("net.vsr", 3, 13, "Shrink")
        .expect("a block changes");
    assert_eq!(
        (edits(&block, &net).len(), edits(&block, &parts).len()),
        (2, 1),
        "{block}"
    );
    // An input, in its body and where it is given by name; a dim, in the model and the profile.
    let input = client
        .rename("parts.vsr", 1, 24, "boost")
        .expect("an input changes");
    assert_eq!(
        (edits(&input, &net).len(), edits(&input, &parts).len()),
        (1, 2),
        "{input}"
    );
    let dim = client
        .rename("net.vsr", 8, 23, "Rows")
        .expect("a dim changes");
    assert_eq!(edits(&dim, &net).len(), 3, "{dim}");
    for (line, character, name, why) in [
        (3, 2, "g", "taken"),
        (3, 2, "Half", "lower case"),
        (3, 2, "for", "reserved"),
        (3, 13, "Conv2d", "taken"),
        (3, 2, "a b", "no name"),
    ] {
        let refused = client
            .rename("net.vsr", line, character, name)
            .expect_err("it is refused");
        assert!(refused.contains(why), "{name}: {refused}");
    }
    let library = client
        .rename("parts.vsr", 2, 9, "Convolve")
        .expect_err("it is refused");
    assert!(library.contains("standard library"), "{library}");
    client.stop();
}

/// A definition's users are found in the whole workspace, whether a file is open or not.
#[test]
fn renaming_reaches_closed_files_of_the_workspace() {
    let mut client = Client::start();
    client.write("net.vsr", NET);
    let deep = NET.replace("parts.vsr", "../../parts.vsr");
    client.write("nets/deep/other.vsr", &deep);
    // One of these only has the word, one its own block of that name, and one does not parse to its end.
    client.write("prose.vsr", "## Halve is elsewhere\nop f(x: [N]) = x\n");
    client.write("own.vsr", "block Halve()(x: [N]) -> [N] = x\n");
    client.write("broken.vsr", &NET.replace("profile tile {", "profile tile"));
    client.write("target/made.vsr", NET);
    client.open("parts.vsr", PARTS);
    client.diagnostics("parts.vsr", 0);
    let files = |answer: &Value| -> Vec<(String, usize)> {
        let changes = answer["documentChanges"].as_array().expect("changes");
        let mut files: Vec<(String, usize)> = changes
            .iter()
            .map(|change| {
                let uri = change["textDocument"]["uri"].as_str().expect("an address");
                let name = uri.rsplit('/').next().expect("it ends in a name");
                (
                    name.to_string(),
                    change["edits"].as_array().map_or(0, Vec::len),
                )
            })
            .collect();
        files.sort();
        files
    };
    let expected = |of_parts, of_others| {
        let others =
            ["broken.vsr", "net.vsr", "other.vsr"].map(|name| (name.to_string(), of_others));
        let mut all = others.to_vec();
        all.push(("parts.vsr".to_string(), of_parts));
        all
    };
    let block = client
        .rename("parts.vsr", 1, 7, "Shrink")
        .expect("a block changes");
    assert_eq!(files(&block), expected(1, 2), "{block}");
    let ranges = block["documentChanges"].as_array().expect("changes").iter();
    let mut of_net = ranges.filter(|change| change["textDocument"]["uri"] == client.uri("net.vsr"));
    let first = of_net.next().expect("net.vsr changes")["edits"][0]["range"].clone();
    assert_eq!(
        first,
        json!({ "start": { "line": 0, "character": 4 }, "end": { "line": 0, "character": 9 } })
    );
    let input = client
        .rename("parts.vsr", 1, 24, "boost")
        .expect("an input changes");
    assert_eq!(files(&input), expected(2, 1), "{input}");
    let references = client.ask(
        "textDocument/references",
        "parts.vsr",
        json!({ "position": { "line": 1, "character": 7 }, "context": { "includeDeclaration": true } }),
    );
    assert_eq!(references.as_array().map(Vec::len), Some(7), "{references}");
    // A name that a closed file uses for something else.
    let refused = client
        .rename("parts.vsr", 1, 7, "Net")
        .expect_err("it is refused");
    assert!(refused.contains("`Net` is taken here: see "), "{refused}");
    client.stop();
}

#[test]
fn formatting_references_and_symbols() {
    let mut client = opened();
    assert_eq!(
        client.ask(
            "textDocument/formatting",
            "net.vsr",
            json!({ "options": {} })
        ),
        json!([])
    );
    client.change("net.vsr", &NET.replace("g + h", "g+h   # the sum"));
    let edits = client.ask(
        "textDocument/formatting",
        "net.vsr",
        json!({ "options": {} }),
    );
    assert_eq!(
        edits[0]["newText"],
        NET.replace("g + h", "g + h  # the sum")
    );
    let references = client.ask(
        "textDocument/references",
        "parts.vsr",
        json!({ "position": { "line": 1, "character": 7 }, "context": { "includeDeclaration": true } }),
    );
    assert_eq!(references.as_array().map(Vec::len), Some(3), "{references}");
    let symbols = client.ask("textDocument/documentSymbol", "net.vsr", json!({}));
    assert_eq!(symbols.as_array().map(Vec::len), Some(2), "{symbols}");
    client.stop();
}

#[test]
fn what_is_unknown_is_answered_and_ends_nothing() {
    let mut client = Client::start();
    let answer = client.request("textDocument/unheardOf", json!({}));
    assert!(
        answer["error"]["message"]
            .as_str()
            .is_some_and(|text| text.contains("unheardOf"))
    );
    let nowhere = json!({ "textDocument": { "uri": "file:///not/open.vsr" }, "position": { "line": 0, "character": 0 } });
    assert_eq!(
        client.request("textDocument/hover", nowhere)["result"],
        Value::Null
    );
    let broken = client.request("textDocument/hover", json!({}));
    assert!(broken["error"].is_object());
    client.open("odd.vsr", "op f(x: [B]) = \"unclosed\n# ∀ \u{0} 𝒳\r\n");
    let found = client.diagnostics("odd.vsr", 1);
    assert_eq!(found[0]["code"], "syntax");
    client.stop();
}

/// A network as it grows under the hands: whatever is half written, completion and hover are answered.
#[test]
fn typing_ends_nothing() {
    let mut client = Client::start();
    client.open("parts.vsr", PARTS);
    client.open("net.vsr", "");
    let text = format!("{NET}\n{}", include_str!("../../models/vdsr.vsr"));
    let ends = text.char_indices().map(|(at, _)| at).step_by(23);
    for end in ends {
        let typed = &text[..end];
        client.change("net.vsr", typed);
        let line = typed.matches('\n').count() as u32;
        let character = typed
            .rsplit('\n')
            .next()
            .map_or(0, |line| line.encode_utf16().count()) as u32;
        let items = client.at("textDocument/completion", "net.vsr", line, character);
        assert!(items.is_array());
        client.at(
            "textDocument/hover",
            "net.vsr",
            line,
            character.saturating_sub(1),
        );
        client.at("textDocument/definition", "net.vsr", line, character);
    }
    client.stop();
}
