"""Publishes a moving picture and a tone by WHIP, plays them by WHEP, and reports what was decoded.

The report is one line of JSON: pictures decoded, their width, audio samples, whether the tone was
loud. Tokens come by PUBLISH_TOKEN and PLAY_TOKEN, so that they stay out of the process list.
"""

import argparse
import asyncio
import fractions
import json
import os
from urllib.parse import urljoin

import aiohttp
import numpy
from aiortc import RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError, VideoStreamTrack
from av import AudioFrame, VideoFrame


class Picture(VideoStreamTrack):
    """A bar that moves through a 320 × 180 picture."""

    count = 0

    async def recv(self):
        """The next picture, at aiortc's own 30 Hz."""
        pts, time_base = await self.next_timestamp()
        pixels = numpy.full((180, 320, 3), 64, numpy.uint8)
        pixels[:, (self.count * 4) % 300 : (self.count * 4) % 300 + 20] = 220
        self.count += 1
        frame = VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts, frame.time_base = pts, time_base
        return frame


class Tone(AudioStreamTrack):
    """A tone of 440 Hz at half of full scale, mono, 48 kHz, 20 ms a frame."""

    samples = 0
    began = None

    async def recv(self):
        """The next 20 ms."""
        loop = asyncio.get_running_loop()
        if self.began is None:
            self.began = loop.time()
        await asyncio.sleep(max(0, self.began + self.samples / 48000 - loop.time()))
        times = (numpy.arange(960) + self.samples) / 48000
        wave = (16384 * numpy.sin(2 * numpy.pi * 440 * times)).astype(numpy.int16)
        frame = AudioFrame.from_ndarray(wave.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts = 48000, self.samples
        frame.time_base = fractions.Fraction(1, 48000)
        self.samples += 960
        return frame


def only(answer, peer):
    """The answer with this address alone among its candidates; all of them where none is named."""
    lines = answer.splitlines(keepends=True)
    others = [x for x in lines if x.startswith("a=candidate:") and f" {peer} " not in x]
    return "".join(x for x in lines if not peer or x not in others)


async def exchange(http, connection, url, token, peer):
    """Posts the offer and takes the answer; returns the URL of the session."""
    await connection.setLocalDescription(await connection.createOffer())
    headers = {"Content-Type": "application/sdp", "Authorization": f"Bearer {token}"}
    async with http.post(url, data=connection.localDescription.sdp, headers=headers) as response:
        answer = await response.text()
        assert response.status == 201, f"{response.status}: {answer}"
        location = urljoin(url, response.headers["Location"])
    answer = RTCSessionDescription(only(answer, peer), "answer")
    await connection.setRemoteDescription(answer)
    return location


async def count(track, report):
    """Decodes a track until it ends, adding to the report."""
    try:
        while True:
            frame = await track.recv()
            if track.kind == "video":
                report["frames"] += 1
                report["width"] = frame.width
            else:
                report["samples"] += frame.samples
                report["loud"] |= bool(numpy.abs(frame.to_ndarray()).max() > 4000)
    except MediaStreamError:
        return


def prefer(transceiver, codec):
    """Puts one codec first, with its retransmissions."""
    codecs = RTCRtpSender.getCapabilities("video").codecs
    wanted = [c for c in codecs if c.name.upper() == codec or c.name == "rtx"]
    transceiver.setCodecPreferences(wanted)


async def run(args):
    """Publishes, plays, waits, reports."""
    report = {"frames": 0, "width": 0, "samples": 0, "loud": False}
    sender, viewer = RTCPeerConnection(), RTCPeerConnection()
    tasks = []

    @viewer.on("track")
    def on_track(track):
        tasks.append(asyncio.ensure_future(count(track, report)))

    async with aiohttp.ClientSession() as http:
        sender.addTransceiver(Tone(), direction="sendonly")
        prefer(sender.addTransceiver(Picture(), direction="sendonly"), args.codec)
        whip, whep = f"{args.url}/whip/{args.room}", f"{args.url}/whep/{args.room}"
        published = await exchange(http, sender, whip, os.environ["PUBLISH_TOKEN"], args.peer)
        for kind in ("audio", "video"):
            viewer.addTransceiver(kind, direction="recvonly")
        await exchange(http, viewer, f"{whep}?peer=sender", os.environ["PLAY_TOKEN"], args.peer)
        await asyncio.sleep(args.seconds)
        bearer = {"Authorization": f"Bearer {os.environ['PUBLISH_TOKEN']}"}
        async with http.delete(published, headers=bearer) as response:
            report["deleted"] = response.status
    print(json.dumps(report))
    for task in tasks:
        task.cancel()
    await asyncio.gather(sender.close(), viewer.close())


def main():
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--room", required=True)
    parser.add_argument("--codec", default="VP8", choices=["VP8", "H264"])
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--peer", default="", help="the server's only address")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
