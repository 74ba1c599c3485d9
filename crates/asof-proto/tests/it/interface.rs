//! The interface as others have it: names and numbers that must never change.

use asof_proto::DESCRIPTORS;
use prost::Message;
use prost_types::field_descriptor_proto::Label;
use prost_types::{DescriptorProto, FileDescriptorSet};

/// Goal: the messages and services of Feast have the names, numbers and types that its clients were built with.
#[test]
fn as_feast_has_it() {
    let described = FileDescriptorSet::decode(DESCRIPTORS).unwrap();
    let mut lines = Vec::new();
    for file in described.file.iter().filter(|file| file.package().starts_with("feast.")) {
        for message in &file.message_type {
            describe(file.package(), message, &mut lines);
        }
        for each in &file.enum_type {
            lines.push(enumeration(file.package(), each));
        }
        for service in &file.service {
            for method in &service.method {
                let name = format!("{}.{}/{}", file.package(), service.name(), method.name());
                lines.push(format!("{name} ({}) -> {}", method.input_type(), method.output_type()));
            }
        }
    }
    lines.sort();
    let expected = include_str!("feast.txt");
    assert_eq!(lines.join("\n"), expected.trim_end());
}

/// Goal: a reflection service finds every file that another one imports.
#[test]
fn complete() {
    let described = FileDescriptorSet::decode(DESCRIPTORS).unwrap();
    let names: Vec<&str> = described.file.iter().map(|file| file.name()).collect();
    assert!(
        names.contains(&"asof/v1/asof.proto") && names.contains(&"google/protobuf/timestamp.proto"),
        "{names:?}"
    );
    for import in described.file.iter().flat_map(|file| &file.dependency) {
        assert!(names.contains(&import.as_str()), "{import}");
    }
}

fn describe(parent: &str, message: &DescriptorProto, lines: &mut Vec<String>) {
    let name = format!("{parent}.{}", message.name());
    for field in &message.field {
        let type_name = match field.type_name() {
            "" => format!("{:?}", field.r#type()).to_lowercase(),
            name => name.to_owned(),
        };
        let repeated = if field.label() == Label::Repeated { "*" } else { "" };
        let of = field
            .oneof_index
            .map_or(String::new(), |of| format!(" |{}", message.oneof_decl[of as usize].name()));
        lines.push(format!("{name} {}={}:{repeated}{type_name}{of}", field.name(), field.number()));
    }
    message.nested_type.iter().for_each(|nested| describe(&name, nested, lines));
    lines.extend(message.enum_type.iter().map(|each| enumeration(&name, each)));
}

fn enumeration(parent: &str, each: &prost_types::EnumDescriptorProto) -> String {
    let values: Vec<String> =
        each.value.iter().map(|value| format!("{}={}", value.name(), value.number())).collect();
    format!("{parent}.{} {}", each.name(), values.join(" "))
}
