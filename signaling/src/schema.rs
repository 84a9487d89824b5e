//! The protocol as JSON Schema (draft 2020-12), from which the TypeScript types are generated.

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema, json_schema};
use serde_json::{Value, json};

use crate::client_message::{ClientMessage, methods_schema};
use crate::data::DataHeader;
use crate::error::{Problem, RpcError};
use crate::rest;
use crate::rpc::RequestId;
use crate::server_message::{ServerMessage, notifications_schema};
use crate::token::Claims;
use crate::version::SUBPROTOCOL;

macro_rules! foreign {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $title:literal, [$($value:literal),*];)*) => {
        $(
            $(#[$doc])*
            pub(crate) enum $name {}

            impl JsonSchema for $name {
                fn schema_name() -> std::borrow::Cow<'static, str> {
                    $word.into()
                }

                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    json_schema!({
                        "type": "string", "description": $title, "enum": [$($value),*]
                    })
                }
            }
        )*
    };
}

foreign! {
    /// [`media_types::MediaKind`], which knows no schema.
    MediaKind = "MediaKind", "Audio or video.", ["audio", "video"];
    /// [`media_types::Codec`], which knows no schema.
    Codec = "Codec", "What a track is encoded with.",
        ["opus", "vp8", "vp9", "av1", "h264", "h265"];
    /// [`media_types::TrackSource`], which knows no schema.
    TrackSource = "TrackSource", "What a publisher says a track shows.",
        ["camera", "microphone", "screen", "screen-audio", "ingest"];
}

/// Everything on the wire as one document: the types under `$defs`, the requests under `methods`
/// (`params` and `result` each), the notifications under `notifications`.
#[must_use]
pub fn schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let methods = methods_schema(&mut generator);
    let notifications = notifications_schema(&mut generator);
    rest_schemas(&mut generator);
    generator.subschema_for::<ClientMessage>();
    generator.subschema_for::<ServerMessage>();
    generator.subschema_for::<RequestId>();
    generator.subschema_for::<RpcError>();
    generator.subschema_for::<Problem>();
    generator.subschema_for::<Claims>();
    generator.subschema_for::<DataHeader>();
    let definitions = generator.take_definitions(true);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Troupe client protocol",
        "version": SUBPROTOCOL,
        "methods": methods,
        "notifications": notifications,
        "$defs": definitions,
    })
}

fn rest_schemas(generator: &mut SchemaGenerator) {
    generator.subschema_for::<rest::RoomSettings>();
    generator.subschema_for::<rest::RoomPatch>();
    generator.subschema_for::<rest::RoomStatus>();
    generator.subschema_for::<rest::PeerStatus>();
    generator.subschema_for::<rest::Page<rest::RoomStatus>>();
    generator.subschema_for::<rest::Page<rest::PeerStatus>>();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_and_notification_is_described() {
        let schema = schema();
        for method in ClientMessage::METHODS {
            let params = schema["methods"][method]["params"]["$ref"].as_str();
            let name = params.unwrap().strip_prefix("#/$defs/").unwrap();
            assert!(schema["$defs"][name].is_object(), "{method}");
        }
        for method in ServerMessage::METHODS {
            assert!(schema["notifications"][method]["params"]["$ref"].is_string());
        }
    }

    #[test]
    fn foreign_words_are_those_on_the_wire() {
        let schema = schema();
        let names = |name: &str| schema["$defs"][name]["enum"].clone();
        let codecs = media_types::Codec::ALL;
        assert_eq!(names("Codec"), serde_json::to_value(codecs).unwrap());
        let kinds = [media_types::MediaKind::Audio, media_types::MediaKind::Video];
        assert_eq!(names("MediaKind"), serde_json::to_value(kinds).unwrap());
        for source in names("TrackSource").as_array().unwrap() {
            serde_json::from_value::<media_types::TrackSource>(source.clone()).unwrap();
        }
    }

    #[test]
    fn nothing_dangles() {
        let text = schema().to_string();
        let schema = schema();
        for part in text.split("\"#/$defs/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(schema["$defs"][name].is_object(), "{name}");
        }
    }
}
