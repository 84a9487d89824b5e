//! The keystream of RFC 3711, appendix B.2, which gives session keys.

use super::*;
use crate::bytes::hex;

#[test]
fn the_keystream_is_that_of_the_rfc() {
    let key = hex("2b7e1516 28aed2a6 abf71588 09cf4f3c");
    let salt = bytes::chunk(&hex("f0f1f2f3 f4f5f6f7 f8f9fafb fcfd"), 0).unwrap();
    let side = Side::new(&key, salt, &[0; AUTH_KEY_BYTES]).unwrap();
    let mut stream = vec![0; 16 * 0xff02];
    side.apply(0, 0, &mut stream).unwrap();
    let first = hex(
        "e03ead09 35c95e80 e166b16d d92b4eb4 d2351316 2b02d0f7 2a43a2fe 4a5f97ab
         41e95b3b b0a2e8dd 477901e4 fca894c0",
    );
    let last = hex(
        "ec8cdf73 98607cb0 f2d21675 ea9ea1e4 362b7c3c 67735163 18a077d7 fc5073ae
         6a2cc378 7889374f beb4c81b 17ba6c44",
    );
    assert_eq!(stream[..48], first);
    assert_eq!(stream[16 * 0xfeff..], last);
}

#[test]
fn source_and_index_enter_the_counter() {
    let side = Side::new(&[0; 16], [0; 14], &[0; AUTH_KEY_BYTES]).unwrap();
    let mut stream = [0; 16];
    side.apply(0x0102_0304, 0x0506_0708_090a, &mut stream)
        .unwrap();
    let mut expected = [0; 16];
    let counter = [0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 0];
    apply_keystream(&side.key, &counter, &mut expected).unwrap();
    assert_eq!(stream, expected);
    assert_eq!(rollover(0x0506_0708_090a), [5, 6, 7, 8]);
}
