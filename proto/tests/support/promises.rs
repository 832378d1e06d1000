//! What an API promises, a line each: what no later version may take back or change.

use protox::prost_reflect::prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    ServiceDescriptorProto, field_descriptor_proto,
};

/// Every method, field and value with its number and its type, in order.
pub fn of(files: &FileDescriptorSet) -> Vec<String> {
    let mut lines = Vec::new();
    for file in &files.file {
        let package = file.package();
        for service in &file.service {
            methods(package, service, &mut lines);
        }
        for message in &file.message_type {
            fields(package, message, &mut lines);
        }
        for kind in &file.enum_type {
            values(package, kind, &mut lines);
        }
    }
    lines
}

/// The promises of `before` that `now` does not keep.
pub fn broken<'a>(before: &'a [String], now: &[String]) -> Vec<&'a str> {
    let gone = before.iter().filter(|promise| !now.contains(promise));
    gone.map(String::as_str).collect()
}

fn methods(package: &str, service: &ServiceDescriptorProto, lines: &mut Vec<String>) {
    for method in &service.method {
        let side = |streams, of: &str| match streams {
            true => format!("stream {of}"),
            false => of.to_owned(),
        };
        let takes = side(method.client_streaming(), method.input_type());
        let gives = side(method.server_streaming(), method.output_type());
        let (service, name) = (service.name(), method.name());
        lines.push(format!(
            "method {package}.{service}/{name} ({takes}) returns ({gives})"
        ));
    }
}

fn fields(parent: &str, message: &DescriptorProto, lines: &mut Vec<String>) {
    let path = format!("{parent}.{}", message.name());
    for field in &message.field {
        let (name, number) = (field.name(), field.number());
        let (kind, place) = (kind(field), place(field, message));
        lines.push(format!("field {path}.{name} = {number} {kind}{place}"));
    }
    for nested in &message.nested_type {
        fields(&path, nested, lines);
    }
    for nested in &message.enum_type {
        values(&path, nested, lines);
    }
}

fn kind(field: &FieldDescriptorProto) -> String {
    let label = match field.label() {
        field_descriptor_proto::Label::Repeated => "repeated ",
        _ => "",
    };
    match field.type_name() {
        "" => format!("{label}{}", field.r#type().as_str_name()),
        name => format!("{label}{name}"),
    }
}

/// Whether it can be absent, or is one of several: moving a field there changes what readers see.
fn place(field: &FieldDescriptorProto, message: &DescriptorProto) -> String {
    if field.proto3_optional() {
        return " optional".to_owned();
    }
    let of = field
        .oneof_index
        .and_then(|index| usize::try_from(index).ok());
    match of.and_then(|index| message.oneof_decl.get(index)) {
        Some(of) => format!(" one of {}", of.name()),
        None => String::new(),
    }
}

fn values(parent: &str, kind: &EnumDescriptorProto, lines: &mut Vec<String>) {
    for value in &kind.value {
        let (of, name, number) = (kind.name(), value.name(), value.number());
        lines.push(format!("value {parent}.{of}.{name} = {number}"));
    }
}
