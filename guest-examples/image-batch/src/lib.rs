//! Pictures as artifacts: many tasks draw one each, and one more puts all of them on a sheet.
//!
//! `batch` makes the plan of it: a child for each picture, and the sheet when all are drawn. A picture never travels through the queue. `render` leaves it as a file with its task, and `sheet` reads the files of the
//! tasks that it waits for.

use std::io::Read as _;

use image::codecs::png::PngEncoder;
use image::imageops::{FilterType, overlay, resize};
use image::{ExtendedColorType, ImageEncoder as _, ImageFormat, Rgb, RgbImage};
use sunaba_sdk::prelude::*;

/// The longest side of a picture, in pixels.
const MAX_SIDE: u32 = 2_048;
/// The side of a picture on the sheet, in pixels.
const THUMBNAIL_SIDE: u32 = 96;
/// Between two of them.
const GAP: u32 = 8;
/// Pictures of one sheet.
const MAX_PICTURES: usize = 400;
/// A larger file is no picture of ours, in bytes.
const MAX_PICTURE_BYTES: u64 = 32 << 20;
const PICTURE: &str = "picture.png";
const SHEET: &str = "sheet.png";

/// What to draw.
#[data]
#[derive(Clone)]
pub struct Scene {
    /// The colour, in degrees from 0 to 359.
    pub hue: u16,
    /// The length of a side, in pixels, from 1 to 2,048.
    pub side: u32,
}

/// What was drawn.
#[data]
pub struct Drawn {
    /// In pixels.
    pub side: u32,
    /// The size of its file.
    pub size_bytes: u64,
}

/// Pictures, and the sheet that they come on.
#[data]
pub struct Batch {
    /// From 1 to 400, in the order in which they stand on the sheet.
    pub scenes: Vec<Scene>,
    /// How many stand side by side, from 1.
    pub columns: u32,
}

/// Draws many pictures side by side, each in a task of its own, and puts them on a sheet.
#[handler]
pub fn batch(input: Batch) -> Result<Outcome<Drawn>, TaskError> {
    check(input.scenes.len(), input.columns)?;
    let plan = Plan::map("render", input.scenes, render::task);
    // The sheet opens what its neighbours have left, by the names that they have in the plan.
    let pictures = plan.children().map(|(name, _)| name.to_owned()).collect();
    let sheet = sheet::task(Pictures { pictures, columns: input.columns });
    Ok(plan.join("sheet", sheet.after("render/*")).into())
}

/// Draws a picture, and leaves it as `picture.png`.
#[handler(timeout = "30s", memory = "64MiB")]
pub fn render(ctx: &Context, input: Scene) -> Result<Drawn, TaskError> {
    if !(1..=MAX_SIDE).contains(&input.side) {
        return Err(TaskError::fatal(format!("a side has 1 to {MAX_SIDE} pixels, and not {}", input.side)));
    }
    let picture = RgbImage::from_fn(input.side, input.side, |x, y| shade(&input, x, y));
    let size_bytes = put(ctx, PICTURE, &picture)?;
    Ok(Drawn { side: input.side, size_bytes })
}

/// The tasks whose pictures come on the sheet, by their names in the plan.
#[data]
pub struct Pictures {
    /// In the order in which they stand on it.
    pub pictures: Vec<String>,
    /// How many stand side by side, from 1.
    pub columns: u32,
}

/// Puts the pictures of other tasks side by side, and leaves that as `sheet.png`.
#[handler(timeout = "60s", memory = "128MiB")]
pub fn sheet(ctx: &Context, input: Pictures) -> Result<Drawn, TaskError> {
    let count = input.pictures.len();
    check(count, input.columns)?;
    let columns = input.columns.min(count as u32);
    let rows = (count as u32).div_ceil(columns);
    let length = |pictures: u32| pictures * (THUMBNAIL_SIDE + GAP) + GAP;
    let mut sheet = RgbImage::from_pixel(length(columns), length(rows), Rgb([255; 3]));
    for (number, task) in (0..).zip(&input.pictures) {
        ctx.progress(number as f64 / count as f64, task);
        let small = resize(&open(ctx, task)?, THUMBNAIL_SIDE, THUMBNAIL_SIDE, FilterType::Triangle);
        let place = |at: u32| i64::from(length(at));
        overlay(&mut sheet, &small, place(number % columns), place(number / columns));
    }
    let size_bytes = put(ctx, SHEET, &sheet)?;
    Ok(Drawn { side: sheet.width(), size_bytes })
}

export!(batch, render, sheet);

/// Whether there can be such a sheet.
fn check(pictures: usize, columns: u32) -> Result<(), TaskError> {
    if pictures == 0 || pictures > MAX_PICTURES || columns == 0 {
        return Err(TaskError::fatal(format!("a sheet has 1 to {MAX_PICTURES} pictures, and at least one column")));
    }
    Ok(())
}

/// Writes a picture as it is encoded: no file of it is ever in memory.
fn put(ctx: &Context, name: &str, picture: &RgbImage) -> Result<u64, TaskError> {
    let mut file = ctx.artifact(name, "image/png")?;
    PngEncoder::new(&mut file).write_image(picture, picture.width(), picture.height(), ExtendedColorType::Rgb8)?;
    Ok(file.finish()?.size_bytes)
}

fn open(ctx: &Context, task: &str) -> Result<RgbImage, TaskError> {
    let mut bytes = Vec::new();
    ctx.open_artifact(task, PICTURE)?.take(MAX_PICTURE_BYTES).read_to_end(&mut bytes)?;
    Ok(image::load_from_memory_with_format(&bytes, ImageFormat::Png)?.into_rgb8())
}

/// Rings of a colour, so that every picture is another one.
fn shade(scene: &Scene, x: u32, y: u32) -> Rgb<u8> {
    let middle = f64::from(scene.side) / 2.0;
    let distance = (f64::from(x) - middle).hypot(f64::from(y) - middle) / middle;
    let light = 0.5 + 0.5 * (distance * 12.0).cos();
    let channel = |turn: f64| {
        let angle = (f64::from(scene.hue) + turn).to_radians();
        (light * (0.5 + 0.5 * angle.cos()) * 255.0) as u8
    };
    Rgb([channel(0.0), channel(-120.0), channel(120.0)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use sunaba_sdk::testing::Attempt;

    fn picture(hue: u16) -> Vec<u8> {
        let attempt = Attempt::new();
        let drawn = render(&attempt.context(), Scene { hue, side: 64 }).expect("it is drawn");
        let bytes = attempt.artifact(PICTURE).expect("it is put");
        assert_eq!((drawn.side, drawn.size_bytes), (64, bytes.len() as u64));
        bytes
    }

    #[test]
    fn sheet_has_every_picture_in_its_place() {
        let attempt = (1..=3).fold(Attempt::new(), |attempt, number| {
            attempt.artifact_of(&format!("render/{number}"), PICTURE, "image/png", picture(number * 100))
        });
        let pictures = (1..=3).map(|number| format!("render/{number}")).collect();
        let drawn = sheet(&attempt.context(), Pictures { pictures, columns: 2 }).expect("it is drawn");
        let sheet =
            image::load_from_memory(&attempt.artifact(SHEET).expect("it is put")).expect("a picture").into_rgb8();
        let side = 2 * (THUMBNAIL_SIDE + GAP) + GAP;
        assert_eq!((sheet.dimensions(), drawn.side), ((side, side), side));
        let middle = |at: u32| at * (THUMBNAIL_SIDE + GAP) + GAP + THUMBNAIL_SIDE / 2;
        let colours = [(0, 0), (1, 0), (0, 1)].map(|(x, y)| *sheet.get_pixel(middle(x), middle(y)));
        assert!(colours[0] != colours[1] && colours[1] != colours[2] && colours[0] != colours[2], "{colours:?}");
        assert_eq!(*sheet.get_pixel(middle(1), middle(1)), Rgb([255; 3]), "there is no fourth");
    }

    fn batch_of(pictures: u16, columns: u32) -> Result<Outcome<Drawn>, TaskError> {
        batch(Batch { scenes: (0..pictures).map(|hue| Scene { hue, side: 64 }).collect(), columns })
    }

    #[test]
    fn batch_has_a_child_for_each_picture_and_a_sheet_of_all() {
        let Ok(Outcome::Decompose(plan)) = batch_of(12, 4) else { panic!("it decomposes") };
        assert_eq!((plan.children().len(), plan.joined_by()), (13, Some("sheet")));
        let scene: Scene = plan.child_named("render/07").expect("it is there").input().expect("a scene");
        assert_eq!((scene.hue, scene.side), (6, 64));
        let sheet = plan.child_named("sheet").expect("it is there");
        assert_eq!(sheet.waits_for().collect::<Vec<_>>(), ["render/*"]);
        let wanted: Pictures = sheet.input().expect("pictures");
        assert_eq!((wanted.pictures.len(), &*wanted.pictures[6], wanted.columns), (12, "render/07", 4));
    }

    #[test]
    fn pictures_of_a_sheet_obeyed_and_violated() {
        assert!(batch_of(1, 1).is_ok() && batch_of(MAX_PICTURES as u16, 9).is_ok());
        assert!(batch_of(0, 1).is_err() && batch_of(1, 0).is_err() && batch_of(MAX_PICTURES as u16 + 1, 1).is_err());
    }

    #[test]
    fn missing_picture_fails_the_sheet() {
        let pictures = vec!["render/1".to_owned()];
        let error = sheet(&Attempt::new().context(), Pictures { pictures, columns: 1 }).err().expect("it fails");
        assert_eq!(error.kind(), "not-found");
    }

    #[test]
    fn length_of_a_side_obeyed_and_violated() {
        let drawn = |side| render(&Attempt::new().context(), Scene { hue: 0, side });
        assert!(drawn(1).is_ok() && drawn(0).is_err() && drawn(MAX_SIDE + 1).is_err());
    }
}
