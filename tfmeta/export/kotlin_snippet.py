"""A Kotlin class that runs exactly one shipped file in an Android app, with the pre- and post-processing it needs."""

from __future__ import annotations

import json
from string import Template

from tfmeta.export.flatbuffer import FlatModel, TensorInfo
from tfmeta.export.preprocessing import PROBABILITIES, Preprocessing, answers

_TEMPLATE = Template("""\
// $does with $file (SHA-256 $sha256).
// Put the file into src/main/assets and, in build.gradle.kts:
//     implementation("com.google.ai.edge.litert:litert:1.4.0")  // 1.4 or later: 16 KB pages
//     android { androidResources { noCompress += "tflite" } }

import android.content.Context
import android.graphics.Bitmap
import android.graphics.Color
import java.io.FileInputStream
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.MappedByteBuffer
import java.nio.channels.FileChannel
import java.security.MessageDigest
import kotlin.math.*
import org.tensorflow.lite.Interpreter

class $name(context: Context, threads: Int = 1) : AutoCloseable {

    private val interpreter = Interpreter(load(context), Interpreter.Options().setNumThreads(threads))
    private val input = buffer(HEIGHT * WIDTH * CHANNELS * $input_bytes)
    private val output = buffer($answers * $output_bytes)

$ask
    private fun run(bitmap: Bitmap) {
        fill(fitted(readable(bitmap)))
        output.rewind()
        interpreter.run(input, output)
        output.rewind()
    }

    override fun close() = interpreter.close()

    // Bitmaps may lie in graphics memory (Config.HARDWARE), where their pixels cannot be read.
    private fun readable(bitmap: Bitmap): Bitmap =
        if (bitmap.config == Bitmap.Config.ARGB_8888) bitmap else bitmap.copy(Bitmap.Config.ARGB_8888, false)

    private fun fill(image: FloatArray) {
        input.rewind()
        for (value in image) put(floor(value + 0.5f))
        input.rewind()
    }

    // $scaling
    private fun put(value: Float) {
        val scaled = $scaled
        $write
    }

$fit
    // The picture as training resized it, areas averaged where it shrinks, at a place in an image that is else black.
    private fun resized(bitmap: Bitmap, height: Int, width: Int, top: Int, left: Int): FloatArray {
        val shrinks = height <= bitmap.height && width <= bitmap.width
        val rows = shares(bitmap.height, height, shrinks)
        val columns = shares(bitmap.width, width, shrinks)
        val pixels = IntArray(bitmap.width)
        val row = FloatArray(bitmap.width * CHANNELS)
        val image = FloatArray(HEIGHT * WIDTH * CHANNELS)
        for (y in 0 until height) {
            row.fill(0f)
            for ((from, share) in rows[y]) {
                bitmap.getPixels(pixels, 0, pixels.size, 0, from, pixels.size, 1)
                for (x in pixels.indices) {
                    val pixel = pixels[x]
$channels_of_pixel
                }
            }
            for (x in 0 until width) {
                val place = ((top + y) * WIDTH + left + x) * CHANNELS
                for ((from, share) in columns[x]) {
                    for (channel in 0 until CHANNELS) image[place + channel] += share * row[from * CHANNELS + channel]
                }
            }
        }
        return image
    }

$softmax    private companion object {
        const val FILE = "$file"
        const val SHA256 = "$sha256"
        const val HEIGHT = $height
        const val WIDTH = $width
        const val CHANNELS = $channels
        val LABELS = listOf(
$labels
        )

        // For each of the new pixels in a row, which of the old ones it is made of, with their shares.
        fun shares(old: Int, new: Int, shrinks: Boolean): List<List<Pair<Int, Float>>> {
            val step = old.toDouble() / new
            val radius = if (shrinks) step / 2 else max(1.0, step)
            return List(new) {
                val centre = (it + 0.5) * step
                val pixels = max(0.0, centre - radius).toInt()..min(old - 1.0, centre + radius).toInt()
                val parts = pixels.map { pixel ->
                    val part = if (shrinks) min(centre + radius, pixel + 1.0) - max(centre - radius, pixel + 0.0)
                    else 1.0 - abs(pixel + 0.5 - centre) / radius
                    max(0.0, part)
                }
                val sum = parts.sum()
                pixels.zip(parts.map { part -> (part / sum).toFloat() })
            }
        }

        fun buffer(bytes: Int): ByteBuffer = ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder())

        fun load(context: Context): MappedByteBuffer {
            val asset = context.assets.openFd(FILE)
            val model = FileInputStream(asset.fileDescriptor).use { stream ->
                stream.channel.map(FileChannel.MapMode.READ_ONLY, asset.startOffset, asset.declaredLength)
            }
            val digest = MessageDigest.getInstance("SHA-256").apply { update(model.duplicate()) }.digest()
            check(digest.joinToString("") { "%02x".format(it) } == SHA256) { "$$FILE is not the file of this class." }
            return model
        }
    }
}
""")

_CLASSIFY = Template("""\
    /** The likeliest classes with their probabilities, the likeliest first. Not for several threads at once. */
    fun classify(bitmap: Bitmap, count: Int = 5): List<Pair<String, Float>> {
        run(bitmap)
        val answer = FloatArray(LABELS.size) { $read }
        return LABELS.zip($answer.toList()).sortedByDescending { it.second }.take(count)
    }
""")
_SEGMENT = Template("""\
    /** Names of the classes. */
    val labels: List<String> get() = LABELS

    /**
     * The class of each pixel, a number into labels: HEIGHT rows of WIDTH, of the picture as it was brought to that
     * size. Not for several threads at once.
     */
    fun segment(bitmap: Bitmap): IntArray {
        run(bitmap)
        return IntArray(HEIGHT * WIDTH) {
            var best = 0
            var highest = Float.NEGATIVE_INFINITY
            for (label in LABELS.indices) {
                val score = $read
                if (score > highest) {
                    best = label
                    highest = score
                }
            }
            best
        }
    }
""")
_RESIZE = """\
    private fun fitted(bitmap: Bitmap): FloatArray = resized(bitmap, HEIGHT, WIDTH, 0, 0)
"""
_PAD = """\
    // Black borders; shrunk only where the picture is too large.
    private fun fitted(bitmap: Bitmap): FloatArray {
        val scale = min(1.0, min(WIDTH.toDouble() / bitmap.width, HEIGHT.toDouble() / bitmap.height))
        val height = round(bitmap.height * scale).toInt().coerceAtLeast(1)
        val width = round(bitmap.width * scale).toInt().coerceAtLeast(1)
        return resized(bitmap, height, width, (HEIGHT - height) / 2, (WIDTH - width) / 2)
    }
"""
_SOFTMAX = """\
    private fun softmax(logits: FloatArray): FloatArray {
        val largest = logits.max()
        val powers = FloatArray(logits.size) { exp(logits[it] - largest) }
        val sum = powers.sum()
        return FloatArray(logits.size) { powers[it] / sum }
    }

"""
_GREY = """\
                    // ITU-R 601 luma, as image libraries have it.
                    val red = Color.red(pixel)
                    val luma = (19595 * red + 38470 * Color.green(pixel) + 7471 * Color.blue(pixel) + 32768) shr 16
                    row[x] += share * luma"""
_RGB = """\
                    row[3 * x] += share * Color.red(pixel)
                    row[3 * x + 1] += share * Color.green(pixel)
                    row[3 * x + 2] += share * Color.blue(pixel)"""
_LIMITS = {"INT8": (-128, 127), "UINT8": (0, 255), "INT16": (-32768, 32767)}
_BYTES = {"INT8": 1, "UINT8": 1, "INT16": 2}


def class_name(file: str) -> str:
    """Returns a Kotlin class name: "SearchedInt8" for "searched-int8.tflite"."""
    parts = file.removesuffix(".tflite").replace("_", "-").replace("+", "-").replace(".", "-").split("-")
    return "".join(part[:1].upper() + part[1:] for part in parts)


def kotlin_snippet(file: str, sha256: str, contents: FlatModel, preprocessing: Preprocessing) -> str | None:
    """Returns the class for one file, or None where an app cannot prepare it: see `Preprocessing.takes_pictures`.

    Args:
        file: its name.
        sha256: its hash; the class refuses any other file.
        contents: what is in it, with one input and one output.
        preprocessing: what must be done before and after.
    """
    if preprocessing.pixel_scale is None or not preprocessing.takes_pictures:
        return None
    (source,), (answer,) = contents.inputs.values(), contents.outputs.values()
    scale, offset = preprocessing.pixel_scale
    probabilities = answers(contents) == PROBABILITIES
    labels = (f"            {_text(label)}," for label in preprocessing.labels)
    segments = bool(preprocessing.label_shape)
    ask = {"read": _read(answer), "answer": "answer" if probabilities else "softmax(answer)"}
    return _TEMPLATE.substitute(
        does="Finds the class of each pixel of pictures" if segments else "Classifies pictures",
        answers="HEIGHT * WIDTH * LABELS.size" if segments else "LABELS.size",
        ask=(_SEGMENT if segments else _CLASSIFY).substitute(ask),
        file=file,
        sha256=sha256,
        name=class_name(file),
        input_bytes=_BYTES.get(source.dtype, 4),
        output_bytes=_BYTES.get(answer.dtype, 4),
        softmax="" if probabilities or segments else _SOFTMAX,
        channels_of_pixel=_GREY if preprocessing.channels == 1 else _RGB,
        scaling=f"The network was trained on pixel * {scale:.8g} + {offset:.8g}.",
        scaled=_scaled(scale, offset),
        write=_write(source),
        fit=_PAD if preprocessing.fit == "pad" else _RESIZE,
        height=preprocessing.height,
        width=preprocessing.width,
        channels=preprocessing.channels,
        labels="\n".join(labels),
    )


def _scaled(scale: float, offset: float) -> str:
    text = "value" if scale == 1.0 else f"value * {scale:.9g}f"
    return text if offset == 0.0 else f"{text} {'+' if offset > 0 else '-'} {abs(offset):.9g}f"


def _write(tensor: TensorInfo) -> str:
    if tensor.quantization is None or tensor.dtype not in _LIMITS:
        return "input.putFloat(scaled)"
    low, high = _LIMITS[tensor.dtype]
    scale, zero = tensor.quantization.scale[0], tensor.quantization.zero_point[0]
    stored = f"((scaled / {scale:.9g}f).roundToInt() + ({zero})).coerceIn({low}, {high})"
    return f"input.putShort({stored}.toShort())" if tensor.dtype == "INT16" else f"input.put({stored}.toByte())"


def _read(tensor: TensorInfo) -> str:
    if tensor.quantization is None or tensor.dtype not in _LIMITS:
        return "output.getFloat()"
    stored = {"INT8": "output.get()", "UINT8": "(output.get().toInt() and 255)", "INT16": "output.getShort()"}
    scale, zero = tensor.quantization.scale[0], tensor.quantization.zero_point[0]
    return f"({stored[tensor.dtype]} - ({zero})) * {scale:.9g}f"


def _text(label: str) -> str:
    # JSON's escapes are Kotlin's, but for the dollar sign, which would begin a template.
    return json.dumps(label).replace("$", "\\$")
