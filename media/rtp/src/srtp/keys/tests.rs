use super::*;
use crate::bytes::hex;

fn derivation(key: &str, salt: &str) -> Derivation {
    let mut padded = [0; 14];
    xor(&mut padded, &hex(salt));
    Derivation {
        key: counter_mode(&hex(key)).unwrap(),
        salt: padded,
    }
}

#[test]
fn keys_are_derived_as_in_rfc_3711() {
    let derivation = derivation(
        "e1f97a0d 3e018be0 d64fa32c 06de4139",
        "0ec675ad 498afeeb b6960b3a abe6",
    );
    let key: [u8; 16] = derivation.derive(Label::RtpKey).unwrap();
    assert_eq!(key[..], hex("c61e7a93 744f39ee 10734afe 3ff7a087"));
    let salt: [u8; 14] = derivation.derive(Label::RtpSalt).unwrap();
    assert_eq!(salt[..], hex("30cbbc08 863d8c85 d49db34a 9ae1"));
    let auth: [u8; 94] = derivation.derive(Label::RtpAuth).unwrap();
    let expected = hex(
        "cebe321f 6ff7716b 6fd4ab49 af256a15 6d38baa4 8f0a0acf 3c34e235 9e6cdbce
         e049646c 43d9327a d175578e f7227098 6371c10c 9a369ac2 f94a8c5f bcdddc25
         6d6e919a 48b610ef 17c2041e 47403576 6b68642c 59bbfc2f 34db60db dfb2",
    );
    assert_eq!(auth[..], expected);
}

#[test]
fn keys_of_256_bits_are_derived_as_in_rfc_6188() {
    let derivation = derivation(
        "f0f04914 b513f276 3a1b1fa1 30f10e29 98f6f6e4 3e4309d1 e622a0e3 32b9f1b6",
        "3b04803d e51ee7c9 6423ab5b 78d2",
    );
    let key: [u8; 32] = derivation.derive(Label::RtpKey).unwrap();
    let expected = "5ba1064e 30ec5161 3cad926c 5a28ef73 1ec7fb39 7f70a960 653caf06 554cd8c4";
    assert_eq!(key[..], hex(expected));
    let salt: [u8; 14] = derivation.derive(Label::RtpSalt).unwrap();
    assert_eq!(salt[..], hex("fa317916 85ca444a 9e07c6c6 4e93"));
    let auth: [u8; 20] = derivation.derive(Label::RtpAuth).unwrap();
    assert_eq!(
        auth[..],
        hex("fd9c32d3 9ed5fbb5 a9dc96b3 0818454d 1313dc05")
    );
}

#[test]
fn exported_material_is_split_by_role() {
    let profile = SrtpProfile::AeadAes128Gcm;
    let exported: Vec<u8> = (0..56).collect();
    let material = KeyingMaterial::split(profile, &exported).unwrap();
    let client = MasterKey::new(profile, &exported[..16], &exported[32..44]).unwrap();
    let server = MasterKey::new(profile, &exported[16..32], &exported[44..]).unwrap();
    assert_eq!(material.sending(DtlsRole::Client), &client);
    assert_eq!(material.receiving(DtlsRole::Client), &server);
    assert_eq!(material.sending(DtlsRole::Server), &server);
    assert_eq!(material.receiving(DtlsRole::Server), &client);
    assert_eq!(format!("{client:?}"), "MasterKey(AeadAes128Gcm)");
}

#[test]
fn lengths_are_those_of_the_profiles() {
    for (profile, number, keying) in [
        (SrtpProfile::AeadAes256Gcm, 8, 88),
        (SrtpProfile::AeadAes128Gcm, 7, 56),
        (SrtpProfile::AesCm128HmacSha1_80, 1, 60),
    ] {
        assert_eq!(profile.dtls_number(), number);
        assert_eq!(SrtpProfile::from_dtls_number(number), Some(profile));
        assert_eq!(profile.keying_length(), keying);
        assert!(KeyingMaterial::split(profile, &vec![0; keying]).is_ok());
        let (needed, length) = (keying, keying + 1);
        assert_eq!(
            KeyingMaterial::split(profile, &vec![0; keying + 1]),
            Err(SrtpError::KeyLength { needed, length })
        );
    }
    assert_eq!(SrtpProfile::from_dtls_number(2), None);
    // The same sum, the wrong parts.
    assert!(MasterKey::new(SrtpProfile::AeadAes128Gcm, &[0; 12], &[0; 16]).is_err());
}
