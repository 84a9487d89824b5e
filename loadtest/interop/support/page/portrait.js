// Runs in the page before its own scripts: the camera is a drawing of a person in a room, so that
// screenshots look like a call. `window.portrait` says which.

const SCENES = [
  { wall: ['#f3d9c0', '#c98f6b'], shirt: '#31506b', skin: '#c68863', hair: '#2c1b18', round: 1 },
  { wall: ['#cfe3dc', '#6f9f94'], shirt: '#d9643a', skin: '#f0c5a0', hair: '#8a4b1f', round: 0.55 },
  { wall: ['#d9d4f0', '#7c74b4'], shirt: '#f0e6d2', skin: '#8a5a3c', hair: '#141014', round: 1.25 },
  { wall: ['#fbe6b0', '#d8a442'], shirt: '#47643f', skin: '#e8b894', hair: '#d8d4cc', round: 0.8 },
];

function ellipse(paint, colour, x, y, width, height) {
  paint.fillStyle = colour;
  paint.beginPath();
  paint.ellipse(x, y, width, height, 0, 0, 2 * Math.PI);
  paint.fill();
}

function room(paint, { wall }, width, height) {
  const light = paint.createLinearGradient(0, 0, width, height);
  light.addColorStop(0, wall[0]);
  light.addColorStop(1, wall[1]);
  paint.fillStyle = light;
  paint.fillRect(0, 0, width, height);
  paint.fillStyle = 'rgba(255, 255, 255, 0.35)';
  paint.fillRect(width * 0.08, height * 0.1, width * 0.2, height * 0.42);
  paint.fillStyle = 'rgba(60, 35, 20, 0.25)';
  paint.fillRect(width * 0.74, height * 0.3, width * 0.2, height * 0.03);
  for (let book = 0; book < 6; book += 1) {
    const tall = 0.11 + (book % 3) * 0.02;
    const left = width * (0.755 + book * 0.028);
    paint.fillRect(left, height * (0.3 - tall), width * 0.02, height * tall);
  }
}

function person(paint, { shirt, skin, hair, round }, width, height, sway) {
  const [x, unit] = [width * (0.5 + sway), height / 10];
  ellipse(paint, hair, x, unit * 4.3, unit * 2.05 * Math.max(1, round), unit * (2.3 + round * 0.5));
  ellipse(paint, shirt, x, unit * 11, unit * 4.2, unit * 4);
  paint.fillStyle = skin;
  paint.fillRect(x - unit * 0.7, unit * 5.5, unit * 1.4, unit * 2);
  ellipse(paint, skin, x, unit * 4.5, unit * 1.6, unit * 2);
  ellipse(paint, hair, x, unit * 2.9, unit * 1.7, unit * 0.9);
  ellipse(paint, '#2a1a14', x - unit * 0.6, unit * 4.4, unit * 0.14, unit * 0.18);
  ellipse(paint, '#2a1a14', x + unit * 0.6, unit * 4.4, unit * 0.14, unit * 0.18);
  paint.strokeStyle = '#7a2f24';
  paint.lineWidth = unit * 0.14;
  paint.beginPath();
  paint.arc(x, unit * 5.1, unit * 0.6, 0.25 * Math.PI, 0.75 * Math.PI);
  paint.stroke();
}

function drawing() {
  const canvas = Object.assign(document.createElement('canvas'), { width: 1280, height: 720 });
  const paint = canvas.getContext('2d');
  const scene = SCENES[window.portrait % SCENES.length];
  const draw = () => {
    room(paint, scene, canvas.width, canvas.height);
    person(paint, scene, canvas.width, canvas.height, Math.sin(performance.now() / 900) * 0.01);
  };
  draw();
  setInterval(draw, 100);
  return canvas.captureStream(10);
}

const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = (wanted) =>
  wanted.video ? Promise.resolve(drawing()) : real(wanted);
