//! As much Markdown as our own pages use.

/// The rows of the first table below the heading `## TITLE`, without its head.
pub(crate) fn rows(page: &str, title: &str) -> Vec<Vec<String>> {
    let heading = format!("## {title}");
    let section = page.lines().skip_while(|line| *line != heading).skip(1);
    let section = section.take_while(|line| !line.starts_with("## "));
    let table = section.skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    let rows: Vec<Vec<String>> = table.skip(2).map(cells).collect();
    assert!(!rows.is_empty(), "no table below {heading}");
    rows
}

/// A cell without the marks of code.
pub(crate) fn bare(cell: &str) -> String {
    cell.trim_matches('`').to_owned()
}

/// The contents of the fenced blocks of this language.
pub(crate) fn blocks<'p>(page: &'p str, language: &str) -> Vec<&'p str> {
    let fence = format!("```{language}\n");
    page.split(&*fence).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// What stands between single backquotes, outside of fenced blocks.
pub(crate) fn code_spans(page: &str) -> Vec<&str> {
    prose(page).flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
}

/// Targets of links within the repository.
pub(crate) fn links(page: &str) -> Vec<&str> {
    let targets =
        prose(page).flat_map(|line| line.split("](").skip(1)).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:")).collect()
}

/// The anchors that headings make.
pub(crate) fn anchors(page: &str) -> Vec<String> {
    let headings = prose(page).filter(|line| line.starts_with('#'));
    headings.map(|line| slug(line.trim_start_matches('#').trim())).collect()
}

fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    page.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fence && !fenced
    })
}
