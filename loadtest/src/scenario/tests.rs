use super::*;

const SMALL: &str =
    "name = \"small\"\nrooms = 2\n\n[publishers]\ncount = 1\n\n[subscribers]\ncount = 3\n";

fn error(text: &str) -> String {
    Scenario::parse("a.toml", text).unwrap_err().to_string()
}

#[test]
fn a_small_file_is_enough() {
    let scenario = Scenario::parse("a.toml", SMALL).unwrap();
    assert_eq!(
        (scenario.members(), scenario.codec()),
        (8, Some(Codec::Vp8))
    );
    let (publisher, subscriber) = scenario.plans(Path::new("nowhere")).unwrap();
    assert_eq!(
        (publisher.video.len(), publisher.audio.is_some()),
        (1, true)
    );
    assert_eq!((publisher.audio_slots, publisher.video_slots), (0, 0));
    assert_eq!((subscriber.video.len(), subscriber.video_slots), (0, 1));
    assert_eq!(subscriber.codecs, [Codec::Vp8]);
}

#[test]
fn faults_name_file_line_and_key() {
    let unknown = error(&SMALL.replace("count = 3", "count = 3\ncolour = 1"));
    assert!(
        unknown.starts_with("a.toml:9: ") && unknown.contains("colour"),
        "{unknown}"
    );
    let kind = error(&SMALL.replace("rooms = 2", "rooms = \"two\""));
    assert!(kind.starts_with("a.toml:2: "), "{kind}");
    let value = error(&SMALL.replace("rooms = 2", "rooms = 0"));
    assert_eq!(value, "a.toml:2: rooms: at least 1");
    let nested = error(&SMALL.replace("count = 1", "count = 1\nfps = 0"));
    assert_eq!(nested, "a.toml:6: publishers.fps: 1 to 120");
    let layers = "count = 1\n[[publishers.layers]]\nwidth = 1\nheight = 1\nkbps = 100";
    let table = error(&SMALL.replace("count = 1", layers));
    assert_eq!(
        table,
        "a.toml:6: publishers.layers: at least 16 x 16 pixels"
    );
    let many = error(&SMALL.replace("rooms = 2", "rooms = 7000"));
    assert!(many.starts_with("a.toml:2: rooms: 28000 members"), "{many}");
    let churn = error(&format!("{SMALL}[churn]\nstay_s = [3, 1]\n"));
    assert!(churn.starts_with("a.toml:10: churn.stay_s"), "{churn}");
    let talk = error(&format!("{SMALL}[chat]\nrate = 1\nbytes = 5\n"));
    assert!(talk.starts_with("a.toml:11: chat.bytes"), "{talk}");
    let nobody = error("name = \"x\"\n");
    assert!(nobody.starts_with("a.toml:1: publishers.count"), "{nobody}");
    assert!(Scenario::load(Path::new("/nonexistent/x.toml")).is_err());
}

#[test]
fn every_committed_scenario_is_good_and_named_like_its_file() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let scenario = Scenario::load(&path).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(
            Some(scenario.name.as_str()),
            path.file_stem().unwrap().to_str()
        );
        assert!(
            !scenario.about.is_empty(),
            "{} says what it is for",
            scenario.name
        );
        names.push(scenario.name);
    }
    names.sort();
    let all = [
        "chat",
        "churn-soak",
        "fanout-500",
        "fanout-60",
        "idle-signalling",
        "janus-60",
        "join-storm",
        "rooms-of-3",
        "smoke",
        "svc",
        "whip",
    ];
    assert_eq!(names, all);
}
