//! The part of Markdown that a description may use: paragraphs, `- ` lists, fenced listings and `code`.
//!
//! It becomes a structure whose texts the templates escape one by one, so no description can write a tag.
//! Whatever else looks like Markdown stays as it was typed.

/// A description, block by block.
pub(super) type Prose = Vec<Block>;

/// One block of a description.
#[derive(Debug, PartialEq)]
pub(super) enum Block {
    Paragraph(Vec<Span>),
    List(Vec<Vec<Span>>),
    Listing(String),
}

/// A run of text within a block, set as code or not.
#[derive(Debug, PartialEq)]
pub(super) struct Span {
    pub(super) text: String,
    pub(super) code: bool,
}

/// Reads `text` into blocks. Lines of one paragraph or item are joined by a space.
pub(super) fn parse(text: &str) -> Prose {
    let mut blocks = Vec::new();
    let mut lines = text.lines().map(str::trim).peekable();
    while let Some(line) = lines.next() {
        if line.starts_with("```") {
            let listing: Vec<_> = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
            blocks.push(Block::Listing(listing.join("\n")));
        } else if let Some(item) = line.strip_prefix("- ") {
            let mut item = item.to_owned();
            while let Some(more) = lines.next_if(|line| continues(line)) {
                item = item + " " + more;
            }
            match blocks.last_mut() {
                Some(Block::List(items)) => items.push(spans(&item)),
                _ => blocks.push(Block::List(vec![spans(&item)])),
            }
        } else if !line.is_empty() {
            let mut paragraph = line.to_owned();
            while let Some(more) = lines.next_if(|line| continues(line)) {
                paragraph = paragraph + " " + more;
            }
            blocks.push(Block::Paragraph(spans(&paragraph)));
        }
    }
    blocks
}

/// Whether `line` belongs to the paragraph or item before it.
fn continues(line: &str) -> bool {
    !line.is_empty() && !line.starts_with("- ") && !line.starts_with("```")
}

/// Splits at backquotes: every second part is code. A last one without its partner is a plain character.
fn spans(text: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut rest = text;
    while let Some((before, code, after)) = next_code(rest) {
        spans.push(Span { text: before.to_owned(), code: false });
        spans.push(Span { text: code.to_owned(), code: true });
        rest = after;
    }
    spans.push(Span { text: rest.to_owned(), code: false });
    spans.retain(|span| !span.text.is_empty());
    spans
}

fn next_code(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('`')?;
    let (code, after) = rest.split_once('`')?;
    Some((before, code, after))
}
