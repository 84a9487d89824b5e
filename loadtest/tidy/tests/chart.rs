//! The Helm chart, as far as it can be judged without Helm: what its templates name exists, and
//! their blocks end.
#![allow(
    missing_docs,
    reason = "an integration test has no readers of its documentation"
)]

use std::collections::BTreeSet;

use tidy::Tree;

const TEMPLATES: &str = "control-plane/deploy/helm/templates/";
const KINDS: &[&str] = &[
    "StatefulSet",
    "Service",
    "ConfigMap",
    "Secret",
    "PodDisruptionBudget",
    "HorizontalPodAutoscaler",
    "NetworkPolicy",
    "Certificate",
];

fn tree() -> Tree {
    Tree::read().expect("the tree is readable")
}

fn text_of(tree: &Tree, path: &str) -> String {
    let ends = [path];
    let mut found = tree.ending(&ends);
    found.next().expect("the file is there").text.clone()
}

/// All templates as one text.
fn templates(tree: &Tree) -> String {
    let files = tree.ending(&[".yaml", ".tpl"]);
    let files = files.filter(|file| file.path.starts_with(TEMPLATES));
    files.map(|file| file.text.as_str()).collect()
}

/// The dotted paths of a YAML file of maps; of maps in braces their names too.
fn paths(yaml: &str) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    let mut above: Vec<(usize, String)> = Vec::new();
    for line in yaml.lines() {
        let text = line.trim_start();
        let depth = line.len() - text.len();
        let Some((key, value)) = text.split_once(':') else {
            continue;
        };
        if key.starts_with(['#', '-', '[']) || key.contains(' ') {
            continue;
        }
        above.retain(|(other, _)| *other < depth);
        let parents = above.iter().map(|(_, name)| name.as_str());
        let path = parents.chain([key]).collect::<Vec<_>>().join(".");
        let inner = value.trim().strip_prefix('{').unwrap_or_default();
        let names = inner.split(',').filter_map(|pair| pair.split_once(':'));
        paths.extend(names.map(|(name, _)| format!("{path}.{}", name.trim())));
        paths.insert(path);
        above.push((depth, key.to_owned()));
    }
    paths
}

/// The words that follow a mark, as far as these characters go.
fn words<'a>(text: &'a str, mark: &'a str, also: &'static str) -> impl Iterator<Item = &'a str> {
    text.split(mark).skip(1).map(move |rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !also.contains(c));
        rest.split_at(end.unwrap_or(rest.len())).0
    })
}

#[test]
fn values_and_templates_that_are_named_exist() {
    let tree = tree();
    let values = paths(&text_of(&tree, "deploy/helm/values.yaml"));
    assert!(values.len() > 40, "{values:?}");
    let text = templates(&tree);
    for name in words(&text, ".Values.", ".") {
        assert!(values.contains(name), "no value {name}");
    }
    for name in words(&text, "include \"", ".") {
        assert!(
            text.contains(&format!("define \"{name}\"")),
            "no template {name}"
        );
    }
    for kind in KINDS {
        assert!(text.contains(&format!("kind: {kind}\n")), "no {kind}");
    }
}

#[test]
fn blocks_of_templates_end() {
    let tree = tree();
    let files = tree.ending(&[".yaml", ".tpl"]);
    for file in files.filter(|file| file.path.starts_with(TEMPLATES)) {
        let mut open = 0_i32;
        for action in file.text.split("{{").skip(1) {
            let action = action.split("}}").next().unwrap_or_default();
            let word = action.trim_start_matches('-').split_whitespace().next();
            match word {
                Some("if" | "range" | "with" | "define") => open += 1,
                Some("end") => open -= 1,
                _ => {}
            }
            assert!(open >= 0, "{}: an end too many", file.path);
        }
        assert_eq!(open, 0, "{}: a block goes on", file.path);
        assert!(!file.text.contains('\t'), "{}: a tab", file.path);
    }
}

#[test]
fn settings_that_workers_are_given_exist() {
    let tree = tree();
    let reference = text_of(&tree, "server/config/reference.toml");
    let mut section = String::new();
    let mut keys = BTreeSet::new();
    for line in reference.lines() {
        let line = line.trim_start_matches("# ");
        if let Some(name) = line.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
            name.clone_into(&mut section);
        } else if let Some((key, _)) = line.split_once(" = ") {
            keys.insert(format!("{section}.{key}"));
        }
    }
    let mut given = 0;
    for name in words(&templates(&tree), "TROUPE_", "_") {
        let key = name.to_lowercase().replace("__", ".");
        assert!(keys.contains(&key), "no setting {key}");
        given += 1;
    }
    assert!(given > 20, "{given} settings");
}
