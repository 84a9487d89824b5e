//! The vectors of RFC 7714, sections 16 and 17, which give session keys.

use super::*;
use crate::bytes::hex;

const SALT: &[u8; 12] = b"Quid pro quo";
const HEADER: &str = "8040f17b 8041f8d3 5501a0b2";
const PAYLOAD: &[u8] = b"Gallia est omnis divisa in partes tres";
const RTP_128: &str = "f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a 51c7d19b
    36de3adf 8833 899d7f27 beb16a91 52cf765e e4390cce";
const RTP_256: &str = "32b1de78 a822fe12 ef9f78fa 332e33aa b1801238 9a58e2f3 b50b2a02 76ffae0f
    1ba63799 b87b 7aa3db36 dfffd6b0 f9bb7878 d7a76c13";
const RTCP: &str = "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61
    deadbeef deadbeef deadbeef deadbeef deadbeef";
const RTCP_128: &str = "81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d
    c676a5f1 730d6fda 4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4";
const RTCP_256: &str = "81c8000d 4d617273 d50ae4d1 f5ce5d30 4ba297e4 7d470c28 2c3ece5d bffe0a50
    a2eaa5c1 110555be 8415f658 c61de047 6f1b6fad 1d1eb30c 4446839f 57ff6f6c b26ac3be 800005d4";

fn session(key_length: u8) -> Gcm {
    let key: Vec<u8> = (0..key_length).collect();
    let side = || Side::new(&key, *SALT).unwrap();
    Gcm(Halves {
        rtp: side(),
        rtcp: side(),
    })
}

#[test]
fn the_nonce_is_that_of_the_rfc() {
    let nonce = session(16).0.rtp.nonce(0x5501_a0b2, 0xf17b);
    assert_eq!(nonce.as_ref()[..], hex("51753c65 80c2726f 20718414"));
    let nonce = session(16).0.rtcp.nonce(0x4d61_7273, 0x5d4);
    assert_eq!(nonce.as_ref()[..], hex("51752405 5203726f 207170bb"));
}

#[test]
fn rtp_is_sealed_and_opened_as_in_the_rfc() {
    let id = RtpId {
        ssrc: 0x5501_a0b2,
        index: 0xf17b,
    };
    let header = hex(HEADER);
    for (key_length, sealed) in [(16, hex(RTP_128)), (32, hex(RTP_256))] {
        let gcm = session(key_length);
        for prefix in [0, 1, 16, PAYLOAD.len()] {
            let mut body = vec![0; PAYLOAD.len() + TAG_BYTES];
            body[..prefix].copy_from_slice(&PAYLOAD[..prefix]);
            gcm.seal_rtp(id, &header, &mut body, &PAYLOAD[prefix..])
                .unwrap();
            assert_eq!(body, sealed);
        }
        let mut out = vec![0; PAYLOAD.len()];
        gcm.open_rtp(id, &header, &sealed, &mut out).unwrap();
        assert_eq!(out, PAYLOAD);
    }
}

#[test]
fn rtcp_is_sealed_and_opened_as_in_the_rfc() {
    let (ssrc, word) = (0x4d61_7273, 0x8000_05d4);
    let packet = hex(RTCP);
    for (key_length, sealed) in [(16, hex(RTCP_128)), (32, hex(RTCP_256))] {
        let gcm = session(key_length);
        let mut out = [&[1, 2, 3], packet.as_slice()].concat();
        gcm.seal_rtcp(ssrc, word, 3, &mut out).unwrap();
        assert_eq!(out[3..], sealed);
        let mut out = sealed[..RTCP_CLEAR_BYTES].to_vec();
        let body = &sealed[RTCP_CLEAR_BYTES..sealed.len() - RTCP_INDEX_BYTES];
        gcm.open_rtcp(ssrc, word, body, &mut out).unwrap();
        assert_eq!(out, packet);
    }
}
