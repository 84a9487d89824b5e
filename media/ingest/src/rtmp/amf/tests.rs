use super::*;
use proptest::prelude::*;

fn written(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, value);
    out
}

#[test]
fn values_have_the_bytes_of_the_specification() {
    assert_eq!(
        written(&Value::Number(1.0)),
        [0, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0]
    );
    assert_eq!(written(&"ab".into()), [2, 0, 2, b'a', b'b']);
    let object = Value::object([("a", Value::Null)]);
    assert_eq!(written(&object), [3, 0, 1, b'a', 5, 0, 0, 9]);
    let map = Value::Map(vec![("a".to_owned(), Value::Boolean(true))]);
    assert_eq!(written(&map), [8, 0, 0, 0, 1, 0, 1, b'a', 1, 1, 0, 0, 9]);
    let long = Value::String("x".repeat(70_000));
    assert_eq!(written(&long)[..5], [12, 0, 1, 0x11, 0x70]);
    assert_eq!(read(&written(&long)).unwrap(), [long]);
}

#[test]
fn a_map_that_nobody_ended_is_read() {
    let bytes = [8, 0, 0, 0, 1, 0, 1, b'a', 5];
    let map = Value::Map(vec![("a".to_owned(), Value::Null)]);
    assert_eq!(read(&bytes).unwrap(), [map]);
}

#[test]
fn version_three_is_read_inside_version_zero() {
    // An object of a class without sealed members: {"a": 5, "b": "a", "c": [true, -1]}.
    let bytes = [
        17, 10, 0x0b, 1, 3, b'a', 4, 5, 3, b'b', 6, 0, 3, b'c', 9, 5, 1, 3, 4, 0xff, 0xff, 0xff,
        0xff, 1,
    ];
    let array = Value::Array(vec![Value::Boolean(true), Value::Number(-1.0)]);
    let object = Value::object([("a", Value::Number(5.0)), ("b", "a".into()), ("c", array)]);
    assert_eq!(read(&bytes).unwrap(), [object]);
}

#[test]
fn traits_are_told_once() {
    // Two objects of one class with one sealed member "n".
    let bytes = [17, 9, 5, 1, 10, 0x13, 1, 3, b'n', 4, 1, 10, 1, 4, 2];
    let object = |n: f64| Value::object([("n", Value::Number(n))]);
    let array = Value::Array(vec![object(1.0), object(2.0)]);
    assert_eq!(read(&bytes).unwrap(), [array]);
}

#[test]
fn depth_count_and_text_are_bounded() {
    let mut deep = [10, 0, 0, 0, 1].repeat(20);
    deep.push(5);
    assert_eq!(read(&deep), Err(IngestError::Amf));
    let mut claimed = vec![10, 0xff, 0xff, 0xff, 0xff];
    assert_eq!(read(&claimed), Err(IngestError::Truncated));
    claimed.extend([5; 9_000]);
    assert_eq!(read(&claimed), Err(IngestError::Amf));
    // One text of 10,000 bytes, and an array of references to it.
    let mut echo = vec![17, 9, 0x87, 0x69, 1, 6, 0x80 | (20_001_u32 >> 14) as u8];
    echo.extend([
        0x80 | ((20_001_u32 >> 7) & 0x7f) as u8,
        (20_001 & 0x7f) as u8,
    ]);
    echo.extend([b'x'; 10_000]);
    echo.extend([6, 0].repeat(500));
    assert_eq!(read(&echo), Err(IngestError::Amf));
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<i32>().prop_map(|number| Value::Number(number.into())),
        any::<bool>().prop_map(Value::Boolean),
        "[a-z]{0,9}".prop_map(Value::String),
        any::<i32>().prop_map(|date| Value::Date(date.into())),
        Just(Value::Null),
        Just(Value::Undefined),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        let pairs = prop::collection::vec(("[a-z]{1,9}", inner.clone()), 0..8);
        prop_oneof![
            pairs.clone().prop_map(Value::Object),
            pairs.prop_map(Value::Map),
            prop::collection::vec(inner, 0..8).prop_map(Value::Array),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(value in values()) {
        prop_assert_eq!(read(&written(&value)).unwrap(), [value]);
    }

    #[test]
    fn any_bytes_give_values_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _either = read(&bytes);
    }
}
