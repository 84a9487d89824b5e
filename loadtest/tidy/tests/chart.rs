//! The Helm chart: what its templates name exists. Helm takes a value that is not there for an
//! empty one; what it makes of the chart is judged by loadtest/interop/python/deploy.py.
#![allow(
    missing_docs,
    reason = "an integration test has no readers of its documentation"
)]

use std::collections::BTreeSet;

use tidy::Tree;

const TEMPLATES: &str = "control-plane/deploy/helm/templates/";

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

/// The dotted words that follow a mark.
fn words<'a>(text: &'a str, mark: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(mark).skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.');
        rest.split_at(end.unwrap_or(rest.len())).0
    })
}

#[test]
fn values_and_templates_that_are_named_exist() {
    let tree = tree();
    let values = paths(&text_of(&tree, "deploy/helm/values.yaml"));
    assert!(values.len() > 40, "{values:?}");
    let text = templates(&tree);
    for name in words(&text, ".Values.") {
        assert!(values.contains(name), "no value {name}");
    }
    for name in words(&text, "include \"") {
        assert!(
            text.contains(&format!("define \"{name}\"")),
            "no template {name}"
        );
    }
}
