"""Small files of every format, made on the spot."""

import io
import zipfile

import openpyxl
import pptx

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(30)


def zipped(members: dict[str, str | bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def docx(*paragraphs: tuple[str, str]) -> bytes:
    """Paragraphs as (style id, text); a style id ``Heading1`` is a heading."""
    body = "".join(
        f'<w:p><w:pPr><w:pStyle w:val="{style}"/></w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>'
        for style, text in paragraphs
    )
    word = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    package = "http://schemas.openxmlformats.org/package/2006"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    main = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    rels = "application/vnd.openxmlformats-package.relationships+xml"
    return zipped(
        {
            "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
            f'<Default Extension="rels" ContentType="{rels}"/>'
            f'<Default Extension="xml" ContentType="application/xml"/>'
            f'<Override PartName="/word/document.xml" ContentType="{main}"/></Types>',
            "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
            f'Type="{office}/officeDocument" Target="word/document.xml"/></Relationships>',
            "word/document.xml": f'<w:document xmlns:w="{word}"><w:body>{body}</w:body></w:document>',
        }
    )


def slides(*contents: tuple[str, str]) -> bytes:
    presentation = pptx.Presentation()
    for title, text in contents:
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = text
    stream = io.BytesIO()
    presentation.save(stream)
    return stream.getvalue()


def workbook(rows: list[list[object]], *, title: str = "Prices") -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = title
    for row in rows:
        sheet.append(row)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def epub(*chapters: str) -> bytes:
    names = [f"chapter{n}.xhtml" for n, _ in enumerate(chapters, start=1)]
    items = "".join(f'<item id="{name}" href="{name}" media-type="application/xhtml+xml"/>' for name in names)
    spine = "".join(f'<itemref idref="{name}"/>' for name in names)
    return zipped(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
            '<rootfile full-path="OPS/book.opf"/></rootfiles></container>',
            "OPS/book.opf": '<package xmlns="http://www.idpf.org/2007/opf"><metadata '
            'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>A small book</dc:title></metadata>'
            f"<manifest>{items}</manifest><spine>{spine}</spine></package>",
        }
        | {f"OPS/{name}": f"<html><body>{chapter}</body></html>" for name, chapter in zip(names, chapters, strict=True)}
    )


def pdf(*pages: list[str | tuple[int, str]], trailer: str = "") -> bytes:
    """Pages of lines, from top to bottom; a line may be (type size, text). There is no cross-reference table."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", "", "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    kids = []
    for lines in pages:
        sized = [(11, line) if isinstance(line, str) else line for line in lines]
        text = "".join(
            f"BT /F1 {size} Tf 50 {780 - 16 * n} Td ({line}) Tj ET\n" for n, (size, line) in enumerate(sized) if line
        )
        objects.append(f"<< /Length {len(text)} >>\nstream\n{text}endstream")
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {len(objects)} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>"
        )
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<< /Type /Pages /Count {len(pages)} /Kids [{' '.join(kids)}] >>"
    numbered = "".join(f"{n} 0 obj\n{content}\nendobj\n" for n, content in enumerate(objects, start=1))
    return f"%PDF-1.4\n{numbered}trailer\n<< /Root 1 0 R {trailer} >>\n%%EOF\n".encode()


def locked_pdf() -> bytes:
    """Encrypted for a password that no one knows."""
    lock = f"<< /Filter /Standard /V 1 /R 2 /P -4 /O <{'ab' * 32}> /U <{'cd' * 32}> >>"
    return pdf(["Secret text"], trailer=f"/ID [<{'00' * 16}> <{'00' * 16}>] /Encrypt {lock}")
