//! The frame of a verb that shows something: as a table or as rows for people, and as JSON for programs.

use comfy_table::Table;
use serde::Serialize;

use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

/// Things of a kind: a row each under this header, or a JSON object each on a line. `nothing` is said where there is none.
///
/// # Errors
/// Standard output is full.
pub(super) fn list<T: Serialize, const COLUMNS: usize>(
    global: &Global,
    things: &[T],
    nothing: &str,
    header: [&str; COLUMNS],
    row: impl Fn(&T) -> [String; COLUMNS],
) -> Result<Exit, CommandError> {
    if global.output != Format::Text {
        things.iter().try_for_each(|thing| print::json(Format::Jsonl, thing))?;
    } else if things.is_empty() {
        print::aside(global, nothing);
    } else {
        print::table(&table(things, header, row))?;
    }
    Ok(Exit::Ok)
}

/// The same as a table, whatever there is.
pub(super) fn table<T, const COLUMNS: usize>(
    things: &[T],
    header: [&str; COLUMNS],
    row: impl Fn(&T) -> [String; COLUMNS],
) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(header);
    for thing in things {
        table.add_row(row(thing).map(|cell| print::inert(&cell).into_owned()));
    }
    table
}

/// One thing: rows for people, or a JSON object.
///
/// # Errors
/// Standard output is full.
pub(super) fn one<T: Serialize>(
    global: &Global,
    thing: &T,
    rows: impl FnOnce(&T) -> Vec<(&'static str, String)>,
) -> Result<Exit, CommandError> {
    match global.output {
        Format::Text => print::rows(&rows(thing))?,
        format => print::json(format, thing)?,
    }
    Ok(Exit::Ok)
}

/// What was done: a line for people who have not asked for quiet, or a JSON object.
///
/// # Errors
/// Standard output is full.
pub(super) fn done<T: Serialize>(
    global: &Global,
    thing: &T,
    line: impl FnOnce(&T) -> String,
) -> Result<Exit, CommandError> {
    match global.output {
        Format::Text => print::aside(global, line(thing)),
        format => print::json(format, thing)?,
    }
    Ok(Exit::Ok)
}

/// Pages one after another, until there are as many things as are wanted, or no more. `page` is asked for so many at most, after
/// the place that the page before has named.
///
/// # Errors
/// What `page` says.
pub(super) async fn pages<T, P>(
    wanted: usize,
    most: usize,
    mut page: impl AsyncFnMut(Option<P>, usize) -> Result<(Vec<T>, Option<P>), CommandError>,
) -> Result<Vec<T>, CommandError> {
    let (mut all, mut place) = (Vec::new(), None);
    while all.len() < wanted {
        let (things, next) = page(place.take(), (wanted - all.len()).min(most)).await?;
        all.extend(things);
        place = next;
        if place.is_none() {
            break;
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn first(wanted: usize, most: usize) -> (Vec<usize>, usize) {
        let mut asked = 0;
        let numbers = pages(wanted, most, async |from: Option<usize>, limit| {
            asked += 1;
            let from = from.unwrap_or(0);
            let to = (from + limit).min(10);
            Ok(((from..to).collect(), (to < 10).then_some(to)))
        });
        (numbers.await.expect("every page is there"), asked)
    }

    #[tokio::test]
    async fn pages_are_asked_for_until_there_are_enough_or_no_more() {
        assert_eq!(first(3, 4).await, ((0..3).collect(), 1));
        assert_eq!(first(9, 4).await, ((0..9).collect(), 3));
        assert_eq!(first(100, 4).await, ((0..10).collect(), 3));
        assert_eq!(first(0, 4).await, (Vec::new(), 0));
    }
}
